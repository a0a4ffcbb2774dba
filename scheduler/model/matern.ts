import { CholeskyDecomposition, Matrix } from 'ml-matrix';

export interface ProcessPoint {
  readonly at: readonly number[];
  readonly value: number;
  /** SD of the value's own noise. */
  readonly noise: number;
}
export interface ProcessPrediction {
  readonly mean: number;
  readonly variance: number;
}

/** Matérn covariance with smoothness 5/2. Source: Rasmussen and Williams 2006, equation 4.17. */
export function matern52(distance: number, amplitude: number, length: number): number {
  const r = (Math.sqrt(5) * distance) / length;
  return amplitude * amplitude * (1 + r + (r * r) / 3) * Math.exp(-r);
}

function distance(a: readonly number[], b: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i]! - b[i]!) ** 2;
  return Math.sqrt(sum);
}

/** A zero-mean Gaussian process through `points`; with none it answers its prior. Source: Rasmussen and Williams 2006, algorithm 2.1. */
export function gaussianProcess(points: readonly ProcessPoint[], amplitude: number, length: number): (at: readonly number[]) => ProcessPrediction {
  const count = points.length;
  if (count === 0) return () => ({ mean: 0, variance: amplitude * amplitude });
  const kernel = Matrix.zeros(count, count);
  for (let i = 0; i < count; i += 1) {
    for (let j = 0; j <= i; j += 1) {
      const value = matern52(distance(points[i]!.at, points[j]!.at), amplitude, length) + (i === j ? points[i]!.noise ** 2 + 1e-10 : 0);
      kernel.set(i, j, value);
      kernel.set(j, i, value);
    }
  }
  const factor = new CholeskyDecomposition(kernel);
  const lower = factor.lowerTriangularMatrix.to2DArray();
  const weights = factor.solve(Matrix.columnVector(points.map((point) => point.value))).to1DArray();
  const covariances = new Float64Array(count);
  const solved = new Float64Array(count);
  return (at) => {
    let mean = 0;
    let explained = 0;
    // Forward substitution alone: the variance is k(x,x) - |L⁻¹k|².
    for (let i = 0; i < count; i += 1) {
      covariances[i] = matern52(distance(points[i]!.at, at), amplitude, length);
      mean += covariances[i]! * weights[i]!;
      const row = lower[i]!;
      let value = covariances[i]!;
      for (let j = 0; j < i; j += 1) value -= row[j]! * solved[j]!;
      solved[i] = value / row[i]!;
      explained += solved[i]! ** 2;
    }
    return { mean, variance: Math.max(0, amplitude * amplitude - explained) };
  };
}
