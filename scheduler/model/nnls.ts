import { Matrix, QrDecomposition, SingularValueDecomposition } from 'ml-matrix';

/**
 * argmin |A x - b| over x >= 0. Source: Lawson and Hanson 1974, chapter 23, on the normal equations (Bro and De Jong 1997),
 * with a last solve by orthogonal factors. Rows are equations; every number must be finite.
 */
export function nnls(rows: readonly (readonly number[])[], b: readonly number[]): number[] {
  const width = rows[0]?.length ?? 0;
  // Columns of like size make the normal equations as exact as they can be.
  const sizes = Array.from({ length: width }, (_, j) => Math.sqrt(rows.reduce((sum, row) => sum + row[j]! ** 2, 0)) || 1);
  const gram = Array.from({ length: width }, () => new Array<number>(width).fill(0));
  const right = new Array<number>(width).fill(0);
  rows.forEach((row, r) => {
    for (let i = 0; i < width; i += 1) {
      const scaled = row[i]! / sizes[i]!;
      right[i]! += scaled * b[r]!;
      for (let j = 0; j <= i; j += 1) gram[i]![j]! += (scaled * row[j]!) / sizes[j]!;
    }
  });
  for (let i = 0; i < width; i += 1) for (let j = 0; j < i; j += 1) gram[j]![i] = gram[i]![j]!;

  const x = new Array<number>(width).fill(0);
  const passive = new Array<boolean>(width).fill(false);
  const columnsInUse = () => passive.flatMap((used, j) => (used ? [j] : []));
  const tolerance = 1e-12 * Math.max(1, ...right.map(Math.abs));
  // Three times the width bounds the exchanges in practice (the reference's own limit).
  for (let round = 0; round < 3 * width; round += 1) {
    let enter = -1;
    let steepest = tolerance;
    for (let j = 0; j < width; j += 1) {
      if (passive[j]) continue;
      const slope = right[j]! - gram[j]!.reduce((sum, value, i) => sum + value * x[i]!, 0);
      if (slope > steepest) [enter, steepest] = [j, slope];
    }
    if (enter < 0) break;
    passive[enter] = true;
    for (let columns = columnsInUse(); columns.length > 0; columns = columnsInUse()) {
      const candidate = solveNormal(gram, right, columns);
      // A column that others make up leaves again: it can improve nothing.
      if (candidate === undefined) {
        passive[enter] = false;
        x[enter] = 0;
        break;
      }
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
  const columns = columnsInUse();
  const answer = new Array<number>(width).fill(0);
  if (columns.length > 0) leastSquares(rows, b, columns).forEach((value, i) => (answer[columns[i]!] = Math.max(0, value)));
  return answer;
}

/** Cholesky on a few columns. @returns undefined when they depend on each other */
function solveNormal(gram: readonly number[][], right: readonly number[], columns: readonly number[]): number[] | undefined {
  const lower: number[][] = [];
  const solved: number[] = [];
  for (let i = 0; i < columns.length; i += 1) {
    const row: number[] = [];
    for (let j = 0; j <= i; j += 1) {
      let value = gram[columns[i]!]![columns[j]!]!;
      for (let k = 0; k < j; k += 1) value -= row[k]! * (j === i ? row[k]! : lower[j]![k]!);
      if (j < i) row.push(value / lower[j]![j]!);
      else if (value < 1e-13) return undefined;
      else row.push(Math.sqrt(value));
    }
    lower.push(row);
    let rest = right[columns[i]!]!;
    for (let k = 0; k < i; k += 1) rest -= row[k]! * solved[k]!;
    solved.push(rest / row[i]!);
  }
  for (let i = columns.length - 1; i >= 0; i -= 1) {
    for (let k = i + 1; k < columns.length; k += 1) solved[i]! -= lower[k]![i]! * solved[k]!;
    solved[i]! /= lower[i]![i]!;
  }
  return solved;
}

function leastSquares(rows: readonly (readonly number[])[], b: readonly number[], columns: readonly number[]): number[] {
  const a = new Matrix(rows.map((row) => columns.map((j) => row[j]!)));
  const factors = new QrDecomposition(a);
  const right = Matrix.columnVector([...b]);
  const exact = rows.length >= columns.length && factors.isFullRank();
  return (exact ? factors.solve(right) : new SingularValueDecomposition(a).solve(right)).to1DArray();
}
