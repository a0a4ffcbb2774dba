import { cholesky, forwardSolve, solve } from './cholesky';

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

export function distanceBetween(a: readonly number[], b: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i]! - b[i]!) ** 2;
  return Math.sqrt(sum);
}

export interface Process {
  predict(at: readonly number[]): ProcessPrediction;
  /** Logarithm of the points' density under this process. Source: Rasmussen and Williams 2006, equation 5.8. */
  readonly logEvidence: number;
}

/** A zero-mean Gaussian process through `points`; with none it answers its prior. Source: Rasmussen and Williams 2006, algorithm 2.1. */
export function gaussianProcess(points: readonly ProcessPoint[], amplitude: number, length: number): Process {
  const factor = cholesky(
    points.length,
    (i, j) => matern52(distanceBetween(points[i]!.at, points[j]!.at), amplitude, length) + (i === j ? points[i]!.noise ** 2 : 0),
  );
  const values = points.map(({ value }) => value);
  const weights = solve(factor, values);
  const covariances = new Float64Array(points.length);
  const solved = new Float64Array(points.length);
  const explained = values.reduce((sum, value, i) => sum + value * weights[i]!, 0);
  return {
    logEvidence: -0.5 * explained - factor.logDiagonal,
    predict(at) {
      let mean = 0;
      let known = 0;
      for (let i = 0; i < points.length; i += 1) {
        covariances[i] = matern52(distanceBetween(points[i]!.at, at), amplitude, length);
        mean += covariances[i]! * weights[i]!;
      }
      for (const part of forwardSolve(factor, covariances, solved)) known += part * part;
      return { mean, variance: Math.max(0, amplitude * amplitude - known) };
    },
  };
}
