import type { Row } from './row';

export const products: readonly Row[] = [
  {
    op: 'MatMul',
    inputs: [
      [3, 4],
      [4, 2],
    ],
  },
  {
    op: 'MatMul',
    inputs: [
      [2, 3, 4],
      [4, 2],
    ],
  },
  {
    op: 'MatMul',
    inputs: [
      [3, 4],
      [2, 4, 2],
    ],
  },
  {
    op: 'MatMul',
    inputs: [
      [5, 1, 3, 4],
      [2, 4, 2],
    ],
  },
  ...[0, 1].flatMap((transA) =>
    [0, 1].map((transB): Row => {
      const [a, b] = [transA ? [4, 3] : [3, 4], transB ? [2, 4] : [4, 2]];
      return { op: 'Gemm', inputs: [a, b, transA ? [2] : [3, 1]], options: { transA, transB, alpha: 0.5, beta: 1.5 } };
    }),
  ),
  { op: 'Gemm', inputs: [[3, 4], [4, 2], []] },
  { op: 'MatMul', inputs: [[4], [4, 3]] },
  { op: 'MatMul', inputs: [[2, 3, 4], [4]] },
  { op: 'MatMul', inputs: [[4], [4]] },
  { op: 'MatMul', inputs: [[4], [2, 4, 3]] },
  ...(
    [
      ['ij,jk->ik', [2, 3], [3, 4]],
      ['bij,bjk->bik', [2, 2, 3], [2, 3, 4]],
      ['bhid,bhjd->bhij', [2, 2, 3, 4], [2, 2, 5, 4]],
      ['bqhd,bkhd->bhqk', [2, 3, 2, 4], [2, 5, 2, 4]],
      ['i,j->ij', [3], [4]],
      ['ij,ij->', [2, 3], [2, 3]],
      ['ij,k->k', [2, 3], [4]],
      ['ijk->ki', [2, 3, 4]],
      ['...ij,...jk->...ik', [2, 2, 3], [1, 3, 4]],
      ['ab,bc,cd->ad', [2, 3], [3, 4], [4, 2]],
      ['bi,bj,bk->bijk', [2, 2], [2, 3], [2, 2]],
    ] as const
  ).map(([equation, ...inputs]): Row => ({ op: 'Einsum', inputs, options: { equation } })),
];
