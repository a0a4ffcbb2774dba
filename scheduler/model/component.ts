import { RESIDUAL_AMPLITUDES, RESIDUAL_LENGTH, STRAGGLER_LOG_MEAN, STRAGGLER_LOG_SD, STRAGGLER_SHARE } from '../constants';
import { cholesky, forwardSolve, solve } from './cholesky';
import { distanceBetween, matern52 } from './matern';
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
  /** Measured on one function: no other one can have delayed it. */
  readonly isAlone: boolean;
}
/** What is believed before measuring: each coefficient, and its relative SD. */
export interface ComponentPrior {
  readonly theta: readonly number[];
  readonly relativeSd: readonly number[];
}
export interface ComponentModel {
  predict(features: readonly number[], at: readonly number[]): { meanMs: number; varianceMs2: number };
}

/**
 * A component's time by Bayesian averaging. Under each hypothesis (which measurements met a straggler, how far truth
 * leaves the features) its logarithm is that of features x coefficients, linear around a ridge non-negative least squares
 * fit, plus a Matérn process; hypotheses count by their evidence. Source: Rasmussen and Williams 2006, sections 2.7 and 5.2.
 */
export function fitComponent(samples: readonly ComponentSample[], prior: ComponentPrior): ComponentModel {
  const places = samples.map(({ at }) => at);
  const near = samples.map((_, i) =>
    Float64Array.from(places.slice(0, i + 1), (other) => matern52(distanceBetween(places[i]!, other), 1, RESIDUAL_LENGTH)),
  );
  const beliefsIn = (stragglers: Indices) => {
    const line = linearise(samples, prior, stragglers);
    return RESIDUAL_AMPLITUDES.map((amplitude) => believe(line, near, amplitude));
  };
  const doubtful = samples.flatMap(({ isAlone }, i) => (isAlone ? [] : [i])).slice(-MOST_DOUBTED);
  const calm = beliefsIn(new Set());
  const single = doubtful.map((i) => ({ i, beliefs: beliefsIn(new Set([i])) }));
  // Two stragglers are looked at where each alone is believable.
  const most = Math.max(...[...calm, ...single.flatMap(({ beliefs }) => beliefs)].map(({ logEvidence }) => logEvidence));
  const suspects = single.filter(({ beliefs }) => beliefs.some(({ logEvidence }) => logEvidence > most - SUSPICION)).map(({ i }) => i);
  const pairs = suspects.flatMap((i, place) => suspects.slice(place + 1).map((j) => beliefsIn(new Set([i, j]))));
  const beliefs = likeliest([...calm, ...single.flatMap((each) => each.beliefs), ...pairs.flat()]);
  return {
    predict(features, at) {
      const nearness = Float64Array.from(places, (place) => matern52(distanceBetween(place, at), 1, RESIDUAL_LENGTH));
      let meanMs = 0;
      let squareMs2 = 0;
      for (const { weight, predict } of beliefs) {
        const { ms, variance } = predict(features, nearness);
        meanMs += weight * ms;
        squareMs2 += weight * ms * ms * (1 + variance);
      }
      return { meanMs, varianceMs2: Math.max(0, squareMs2 - meanMs * meanMs) };
    },
  };
}

/** Only the newest measurements are doubted: older ones are means of many. */
const MOST_DOUBTED = 6;
/** A straggler that is 20 times less likely than the best explanation is no suspect. */
const SUSPICION = 3;
type Indices = ReadonlySet<number>;

/** The logarithm of the component, linear in its coefficients' distance from a fit. Coefficients count in units of their prior. */
interface Line {
  readonly prior: ComponentPrior;
  readonly theta: readonly number[];
  readonly points: readonly { slopes: Float64Array; residual: number; variance: number }[];
  readonly logPrior: number;
}

/** What the fit may miss, so that it leans on no single measurement. */
const LINE_SD = 0.08;

function linearise(samples: readonly ComponentSample[], prior: ComponentPrior, stragglers: Indices): Line {
  const measured = samples.map((sample, i) => ({
    ...sample,
    features: scaled(sample.features, prior),
    valueMs: stragglers.has(i) ? sample.valueMs * Math.exp(-STRAGGLER_LOG_MEAN) : sample.valueMs,
    variance: sample.noise ** 2 + (stragglers.has(i) ? STRAGGLER_LOG_SD ** 2 : 0),
  }));
  const priorRows = prior.relativeSd.map((relativeSd, j) => prior.theta.map((_, i) => (i === j ? 1 / relativeSd : 0)));
  const weights = measured.map(({ valueMs, floorMs, variance }) => 1 / (Math.sqrt(variance + LINE_SD ** 2) * Math.max(valueMs, floorMs)));
  const theta = nnls(
    [...measured.map(({ features }, i) => features.map((phi) => phi * weights[i]!)), ...priorRows],
    [...measured.map(({ valueMs }, i) => valueMs * weights[i]!), ...prior.relativeSd.map((relativeSd) => 1 / relativeSd)],
  );
  const points = measured.map(({ features, valueMs, floorMs, variance }) => {
    // Held against the prior's mean, not the fit's: what the fit moved away is a part of the surprise.
    const { lineMs, slopes, moved } = slopesOf(features, theta, prior, floorMs);
    return { slopes, residual: Math.log(Math.max(valueMs, floorMs, LEAST_MS) / lineMs) + moved, variance };
  });
  return { prior, theta, points, logPrior: stragglers.size * Math.log(STRAGGLER_SHARE / (1 - STRAGGLER_SHARE)) };
}
const LEAST_MS = 1e-9;
const scaled = (features: readonly number[], { theta }: ComponentPrior) => features.map((phi, j) => phi * theta[j]!);

interface Belief {
  readonly logEvidence: number;
  /** @param nearness  unit covariance of the process with each sample's place */
  predict(features: readonly number[], nearness: Float64Array): { ms: number; variance: number };
}

function believe(line: Line, near: readonly Float64Array[], { amplitude, logPrior }: (typeof RESIDUAL_AMPLITUDES)[number]): Belief {
  const { prior, theta, points } = line;
  const amplitude2 = amplitude ** 2;
  const together = (a: Float64Array, b: Float64Array) => {
    let sum = 0;
    for (let j = 0; j < a.length; j += 1) sum += a[j]! * b[j]!;
    return sum;
  };
  const factor = cholesky(
    points.length,
    (i, j) => amplitude2 * near[i]![j]! + together(points[i]!.slopes, points[j]!.slopes) + (i === j ? points[i]!.variance : 0),
  );
  const residuals = points.map(({ residual }) => residual);
  const weights = solve(factor, residuals);
  const known = new Float64Array(points.length);
  const solved = new Float64Array(points.length);
  return {
    logEvidence: line.logPrior + logPrior - 0.5 * dot(residuals, weights) - factor.logDiagonal,
    predict(features, nearness) {
      const { lineMs, slopes, moved } = slopesOf(scaled(features, prior), theta, prior, LEAST_MS);
      for (let i = 0; i < points.length; i += 1) known[i] = amplitude2 * nearness[i]! + together(points[i]!.slopes, slopes);
      let variance = amplitude2 + together(slopes, slopes);
      for (const part of forwardSolve(factor, known, solved)) variance -= part * part;
      const correction = Math.max(-MOST_CORRECTION, Math.min(MOST_CORRECTION, dot(known, weights) - moved));
      return { ms: lineMs * Math.exp(correction), variance: Math.max(0, variance) };
    },
  };
}
/** The line is a fit already: what is added to its logarithm stays small, or it was no line. */
const MOST_CORRECTION = 1.5;

/** The logarithm's slopes in units of each coefficient's SD, and how far the fit lies from the prior's mean along them. */
function slopesOf(units: readonly number[], theta: readonly number[], { relativeSd }: ComponentPrior, floorMs: number) {
  const lineMs = Math.max(dot(theta, units), floorMs, LEAST_MS);
  const slopes = Float64Array.from(units, (phi, j) => (phi * relativeSd[j]!) / lineMs);
  const moved = theta.reduce((sum, value, j) => sum + (slopes[j]! * (value - 1)) / relativeSd[j]!, 0);
  return { lineMs, slopes, moved };
}

/** Beliefs less likely than this beside the best are left out. */
const LEAST_WEIGHT = 0.02;

function likeliest(beliefs: readonly Belief[]): (Belief & { weight: number })[] {
  const most = Math.max(...beliefs.map(({ logEvidence }) => logEvidence));
  const kept = beliefs.map((belief) => ({ ...belief, weight: Math.exp(belief.logEvidence - most) })).filter(({ weight }) => weight >= LEAST_WEIGHT);
  const total = kept.reduce((sum, { weight }) => sum + weight, 0);
  return kept.map((belief) => ({ ...belief, weight: belief.weight / total }));
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i]! * b[i]!;
  return sum;
}
