import { SmltError } from '../../contracts/errors';
import { matmulShape, show } from '../shapes';
import { elementsOf } from '../graph-writer';
import type { Rule } from './rule';
import { row } from './rule';

/** Matrix products. */
export const matmulRules: Record<string, Rule> = {
  /**
   * Y = A·B, with A `[…, M, K]`, B `[…, K, N]`, Y and dY `[…, M, N]`; leading axes broadcast.
   *   dA = dY·Bᵀ   dB = Aᵀ·dY   each summed back over the axes that were broadcast
   * Source: ONNX MatMul-13; Giles 2008. Operands of rank 1 are lowered before. A matrix B takes all rows of A as one matrix.
   */
  MatMul: row(['A', 'B'], {
    shape: ({ A, B }) => matmulShape(A.shape, B.shape),
    flops: ({ A }, { Y }) => 2 * elementsOf(Y) * (A.shape.at(-1) ?? 1),
    gradient: ({ A, B }, dY, g) => {
      if (B.shape.length > 2)
        return {
          A: () => g.sumTo(g.matmul(dY, g.swapLast(B)), A.shape),
          B: () => g.sumTo(g.matmul(g.swapLast(A), dY), B.shape),
        };
      const [k, n] = B.shape as [number, number];
      const rows = () => g.reshape(dY, [elementsOf(dY) / n, n]);
      return {
        A: () => g.reshape(g.gemm(rows(), B, { transB: true }), A.shape),
        B: () => g.gemm(g.reshape(A, [elementsOf(A) / k, k]), rows(), { transA: true }),
      };
    },
  }),

  /**
   * Y = α A'·B' + β C, where ' transposes on the flag and C broadcasts to Y `[M, N]`.
   *   dA' = α dY·B'ᵀ   dB' = α A'ᵀ·dY   dC = β dY, summed back
   * Source: ONNX Gemm-13.
   */
  Gemm: row(['A', 'B', 'C?'], {
    shape: ({ A, B }, at) => {
      if (A.shape.length !== 2 || B.shape.length !== 2)
        throw new SmltError('InvalidModel', `Gemm of node '${at.node.name}': expected two matrices, got ${show(A.shape)} and ${show(B.shape)}`);
      const a = at.int('transA', 0) ? A.shape.toReversed() : A.shape;
      return matmulShape(a, at.int('transB', 0) ? B.shape.toReversed() : B.shape);
    },
    flops: ({ A }, at) => 2 * elementsOf(at.Y) * (A.shape[at.int('transA', 0) ? 0 : 1] ?? 1),
    gradient: ({ A, B, C }, dY, g, at) => {
      const [transA, transB] = [at.int('transA', 0) === 1, at.int('transB', 0) === 1];
      const alpha = at.float('alpha', 1);
      return {
        A: () => (transA ? g.gemm(B, dY, { transA: transB, transB: true, alpha }) : g.gemm(dY, B, { transB: !transB, alpha })),
        B: () => (transB ? g.gemm(dY, A, { transA: true, transB: transA, alpha }) : g.gemm(A, dY, { transA: !transA, alpha })),
        C: C && (() => g.sumTo(g.mul(dY, at.float('beta', 1)), C.shape)),
      };
    },
  }),
};
