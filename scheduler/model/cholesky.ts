/**
 * Small symmetric positive definite systems, by rows. Not ml-matrix: its Cholesky builds objects and a 2-D copy each time,
 * which was most of a decision's time (docs/decisions/0050-own-small-cholesky.md).
 */
export interface Cholesky {
  /** Lower triangle by rows. */
  readonly lower: readonly Float64Array[];
  /** Sum of the logarithms of the diagonal: half the logarithm of the determinant. */
  readonly logDiagonal: number;
}

/** Pivots below this are noise of the arithmetic. */
const LEAST_PIVOT = 1e-12;

/** @param at  the matrix, asked for i >= j only */
export function cholesky(size: number, at: (i: number, j: number) => number): Cholesky {
  const lower: Float64Array[] = [];
  let logDiagonal = 0;
  for (let i = 0; i < size; i += 1) {
    const row = new Float64Array(i + 1);
    for (let j = 0; j < i; j += 1) {
      const other = lower[j]!;
      let value = at(i, j);
      for (let k = 0; k < j; k += 1) value -= row[k]! * other[k]!;
      row[j] = value / other[j]!;
    }
    let pivot = at(i, i);
    for (let k = 0; k < i; k += 1) pivot -= row[k]! * row[k]!;
    row[i] = Math.sqrt(Math.max(pivot, LEAST_PIVOT));
    logDiagonal += Math.log(row[i]!);
    lower.push(row);
  }
  return { lower, logDiagonal };
}

/** L⁻¹ b, into `out` where given. */
export function forwardSolve({ lower }: Cholesky, b: ArrayLike<number>, out = new Float64Array(lower.length)): Float64Array {
  for (let i = 0; i < lower.length; i += 1) {
    const row = lower[i]!;
    let value = b[i]!;
    for (let k = 0; k < i; k += 1) value -= row[k]! * out[k]!;
    out[i] = value / row[i]!;
  }
  return out;
}

/** (L Lᵀ)⁻¹ b. */
export function solve(factor: Cholesky, b: ArrayLike<number>): Float64Array {
  const out = forwardSolve(factor, b);
  const { lower } = factor;
  for (let i = lower.length - 1; i >= 0; i -= 1) {
    for (let k = i + 1; k < lower.length; k += 1) out[i]! -= lower[k]![i]! * out[k]!;
    out[i]! /= lower[i]![i]!;
  }
  return out;
}
