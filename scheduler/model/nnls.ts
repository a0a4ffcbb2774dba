import { Matrix, QrDecomposition, SingularValueDecomposition } from 'ml-matrix';

/**
 * argmin |A x - b| over x >= 0. Source: Lawson and Hanson 1974, chapter 23, the method behind scipy.optimize.nnls.
 * Rows are equations; every number must be finite.
 */
export function nnls(rows: readonly (readonly number[])[], b: readonly number[]): number[] {
  const width = rows[0]?.length ?? 0;
  const x = new Array<number>(width).fill(0);
  const passive = new Array<boolean>(width).fill(false);
  const scale = rows.reduce((most, row, i) => Math.max(most, ...row.map((a) => Math.abs(a * b[i]!))), 0);
  const tolerance = 1e-11 * scale * Math.max(1, rows.length);

  const gradient = () => {
    const g = new Array<number>(width).fill(0);
    rows.forEach((row, i) => {
      let rest = b[i]!;
      for (let j = 0; j < width; j += 1) rest -= row[j]! * x[j]!;
      for (let j = 0; j < width; j += 1) g[j]! += row[j]! * rest;
    });
    return g;
  };
  // Three times the width bounds the exchanges in practice (the reference's own limit).
  for (let round = 0; round < 3 * width; round += 1) {
    const g = gradient();
    let enter = -1;
    for (let j = 0; j < width; j += 1) if (!passive[j] && g[j]! > tolerance && (enter < 0 || g[j]! > g[enter]!)) enter = j;
    if (enter < 0) break;
    passive[enter] = true;
    for (;;) {
      const columns = passive.flatMap((used, j) => (used ? [j] : []));
      if (columns.length === 0) break;
      const candidate = leastSquares(rows, b, columns);
      if (candidate.every((value) => value > 0)) {
        x.fill(0);
        columns.forEach((j, i) => (x[j] = candidate[i]!));
        break;
      }
      // Go towards the unconstrained solution until the first value reaches zero, and drop what is zero there.
      const shares = columns.map((j, i) => (candidate[i]! <= 0 ? x[j]! / (x[j]! - candidate[i]! || 1) : Infinity));
      const share = Math.min(...shares);
      columns.forEach((j, i) => {
        x[j] = x[j]! + share * (candidate[i]! - x[j]!);
        if (shares[i]! <= share) {
          x[j] = 0;
          passive[j] = false;
        }
      });
    }
  }
  return x;
}

function leastSquares(rows: readonly (readonly number[])[], b: readonly number[], columns: readonly number[]): number[] {
  const a = new Matrix(rows.map((row) => columns.map((j) => row[j]!)));
  const factors = new QrDecomposition(a);
  const right = Matrix.columnVector([...b]);
  // The singular value decomposition also answers where columns depend on each other.
  const solution = rows.length >= columns.length && factors.isFullRank() ? factors.solve(right) : new SingularValueDecomposition(a).solve(right);
  return solution.to1DArray();
}
