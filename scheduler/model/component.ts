import { Matrix, inverse } from 'ml-matrix';
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
  let theta = [...prior.theta];
  const slack = samples.map(() => 1);
  let rows: number[][] = [];
  // A straggler only makes slower: positive residuals are trusted less and less. Three refits settle it.
  for (let refit = 0; refit < 4; refit += 1) {
    rows = samples.map((sample, i) => sample.features.map((phi) => phi / (sample.noise * slack[i]! * Math.max(sample.valueMs, sample.floorMs))));
    const b = samples.map((sample, i) => sample.valueMs / (sample.noise * slack[i]! * Math.max(sample.valueMs, sample.floorMs)));
    prior.theta.forEach((theta0, j) => {
      const row = prior.theta.map(() => 0);
      row[j] = 1 / (prior.relativeSd[j]! * theta0);
      rows.push(row);
      b.push(1 / prior.relativeSd[j]!);
    });
    theta = nnls(rows, b);
    samples.forEach((sample, i) => {
      const excess = (sample.valueMs - dot(theta, sample.features)) / Math.max(sample.valueMs, sample.floorMs);
      slack[i] = excess > 0 ? Math.sqrt(1 + (excess / (2 * sample.noise)) ** 2) : 1;
    });
  }
  const design = new Matrix(rows);
  const covariance = inverse(design.transpose().mmul(design)).to2DArray();
  const residual = gaussianProcess(
    samples.map((sample) => {
      const meanMs = Math.max(dot(theta, sample.features), sample.floorMs, 1e-9);
      const valueMs = Math.max(sample.valueMs, sample.floorMs, 1e-9);
      // A value near its floor says little about a ratio.
      return { at: sample.at, value: Math.log(valueMs / meanMs), noise: sample.noise };
    }),
    amplitude,
    RESIDUAL_LENGTH,
  );
  return {
    theta,
    predict(features, at) {
      const linearMs = dot(theta, features);
      const { mean, variance } = residual(at);
      const meanMs = linearMs * Math.exp(mean);
      const linearVariance = features.reduce((sum, phi, i) => sum + phi * dot(covariance[i]!, features), 0);
      return { meanMs, varianceMs2: linearVariance * Math.exp(2 * mean) + meanMs * meanMs * variance };
    },
  };
}
