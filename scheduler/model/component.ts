import { Matrix, QrDecomposition } from 'ml-matrix';
import { RESIDUAL_LENGTH } from '../constants';
import { gaussianProcess } from './matern';
import { nnls } from './nnls';

/** One measured value of a component of the step time. */
export interface ComponentSample {
  readonly features: readonly number[];
  readonly at: readonly number[];
  readonly valueMs: number;
  /** Relative error of the measurement (SD of its logarithm). */
  readonly noise: number;
  /** Below this the measurement says "about nothing", not "exactly this little". */
  readonly floorMs: number;
}
/** What is believed before measuring: each coefficient, and its relative SD. */
export interface ComponentPrior {
  readonly theta: readonly number[];
  readonly relativeSd: readonly number[];
}
export interface ComponentModel {
  readonly theta: readonly number[];
  predict(features: readonly number[], at: readonly number[]): { meanMs: number; varianceMs2: number };
}

function dot(a: readonly number[], b: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i]! * b[i]!;
  return sum;
}

/**
 * Ridge non-negative least squares on the relative error, then a Gaussian process on the logarithm of what it leaves.
 * Rows: features / (noise y) = 1 / noise; prior rows: theta_j / (rel_j theta0_j) = 1 / rel_j.
 */
export function fitComponent(samples: readonly ComponentSample[], prior: ComponentPrior, amplitude: number): ComponentModel {
  // Coefficients are counted in units of their prior: numbers of every size then fit beside each other.
  const scaled = (features: readonly number[]) => features.map((phi, j) => phi * prior.theta[j]!);
  const sizes = samples.map((sample) => Math.max(sample.valueMs, sample.floorMs));
  const priorRows = prior.theta.map((_, j) => prior.theta.map((__, i) => (i === j ? 1 / prior.relativeSd[j]! : 0)));
  const slack = samples.map(() => 1);
  let theta = prior.theta.map(() => 1);
  let rows: number[][] = priorRows;
  // A straggler only makes slower: positive residuals are trusted less and less. Three refits settle it.
  for (let refit = 0; samples.length > 0 && refit < 4; refit += 1) {
    const weights = samples.map((sample, i) => 1 / (sample.noise * slack[i]! * sizes[i]!));
    rows = [...samples.map((sample, i) => scaled(sample.features).map((phi) => phi * weights[i]!)), ...priorRows];
    theta = nnls(rows, [...samples.map((sample, i) => sample.valueMs * weights[i]!), ...prior.relativeSd.map((relative) => 1 / relative)]);
    samples.forEach((sample, i) => {
      const excess = (sample.valueMs - dot(theta, scaled(sample.features))) / sizes[i]!;
      slack[i] = excess > 0 ? Math.sqrt(1 + (excess / (2 * sample.noise)) ** 2) : 1;
    });
  }
  const triangle = new QrDecomposition(new Matrix(rows)).upperTriangularMatrix.to2DArray();
  const linearMsOf = (features: readonly number[]) => dot(theta, scaled(features));
  const residual = gaussianProcess(
    samples.map((sample) => {
      const meanMs = Math.max(linearMsOf(sample.features), sample.floorMs, 1e-9);
      const valueMs = Math.max(sample.valueMs, sample.floorMs, 1e-9);
      return { at: sample.at, value: Math.log(valueMs / meanMs), noise: sample.noise };
    }),
    amplitude,
    RESIDUAL_LENGTH,
  );
  return {
    theta: theta.map((value, j) => value * prior.theta[j]!),
    predict(features, at) {
      const { mean, variance } = residual(at);
      const linearMs = linearMsOf(features);
      const meanMs = linearMs * Math.exp(mean);
      return { meanMs, varianceMs2: quadraticForm(triangle, scaled(features)) * Math.exp(2 * mean) + meanMs * meanMs * variance };
    },
  };
}

/** x' (R'R)⁻¹ x by forward substitution, with R upper triangular. */
function quadraticForm(triangle: readonly number[][], x: readonly number[]): number {
  const solved: number[] = [];
  let sum = 0;
  for (let i = 0; i < x.length; i += 1) {
    let value = x[i]!;
    for (let j = 0; j < i; j += 1) value -= triangle[j]![i]! * solved[j]!;
    value /= triangle[i]![i]! || 1e-12;
    solved.push(value);
    sum += value * value;
  }
  return sum;
}
