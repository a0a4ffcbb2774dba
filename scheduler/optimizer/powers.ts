import { LEAST_NOISE, NOISE_MARGIN } from '../constants';
import { cholesky, forwardSolve, solve } from '../model/cholesky';
import { distanceBetween, matern52 } from '../model/matern';
import type { Surface, SurfacePlace, SurfacePoint } from './surface-point';

/** ln t = c + a ln x + b (ln x)² for each x by which time may scale: on the whole it falls, ever more slowly, and may rise in the end. */
const SLOPE = { mean: -0.6, sd: 0.8 };
const CURVE = { mean: 0.08, sd: 0.15 };
/** Any other setting may turn the time by this many SDs of its logarithm from one end to the other. */
const OTHER_SLOPE_SD = 1;
/** The constant is as good as unknown. */
const CONSTANT_SD = 3;
/** How far times leave that, and over which share of a setting's range: the measurements choose, with a preference for the middle. */
const AMPLITUDES = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6];
const LENGTHS = [0.25, 0.5, 1, 2];
const MIDDLE = { amplitude: 0.35, length: 0.6, logSd: 0.7 };
/** Explanations less likely than this beside the best are left out. */
const LEAST_WEIGHT = 0.03;

/** Time as a product of powers of the settings, and a Matérn process on its logarithm. Source: Rasmussen and Williams 2006, sections 2.7 and 5.2. */
export function fitPowers(points: readonly SurfacePoint[], noise: number): Surface {
  const variance = (NOISE_MARGIN * Math.max(noise, LEAST_NOISE)) ** 2;
  const known = points.map((point) => basisOf(point));
  const rests = points.map((point) => Math.log(point.value) - usualOf(point));
  const centre = rests.reduce((sum, rest) => sum + rest, 0) / rests.length;
  const residuals = rests.map((rest) => rest - centre);
  const all = LENGTHS.flatMap((length) => {
    const near = points.map(({ at }, i) => Float64Array.from(points.slice(0, i + 1), (other) => matern52(distanceBetween(at, other.at), 1, length)));
    return AMPLITUDES.map((amplitude) => {
      const factor = cholesky(points.length, (i, j) => amplitude ** 2 * near[i]![j]! + dot(known[i]!, known[j]!) + (i === j ? variance : 0));
      const weights = solve(factor, residuals);
      return { length, amplitude, factor, weights, score: preference(amplitude, length) - 0.5 * dot(residuals, weights) - factor.logDiagonal };
    });
  });
  const most = Math.max(...all.map(({ score }) => score));
  const kept = all.map((each) => ({ ...each, weight: Math.exp(each.score - most) })).filter(({ weight }) => weight >= LEAST_WEIGHT);
  const total = kept.reduce((sum, { weight }) => sum + weight, 0);
  const shared = new Float64Array(points.length);
  const covariances = new Float64Array(points.length);
  const solved = new Float64Array(points.length);
  return (place) => {
    const basis = basisOf(place);
    const own = dot(basis, basis);
    for (let i = 0; i < points.length; i += 1) shared[i] = dot(known[i]!, basis);
    const distances = points.map(({ at }) => distanceBetween(at, place.at));
    let mean = 0;
    let square = 0;
    for (const { length, amplitude, factor, weights, weight } of kept) {
      for (let i = 0; i < points.length; i += 1) covariances[i] = matern52(distances[i]!, amplitude, length) + shared[i]!;
      const m = dot(covariances, weights);
      let left = amplitude ** 2 + own;
      for (const part of forwardSolve(factor, covariances, solved)) left -= part * part;
      mean += (weight / total) * m;
      square += (weight / total) * (m * m + Math.max(0, left));
    }
    return { logMean: usualOf(place) + centre + mean, variance: Math.max(0, square - mean * mean) + variance };
  };
}

/** What a setting's powers usually make of the time, as a logarithm. */
const usualOf = ({ logs }: SurfacePlace): number => logs.reduce((sum, log) => sum + SLOPE.mean * log + CURVE.mean * log * log, 0);
/** The ways in which times may differ from that, in units of their SDs. */
const basisOf = ({ logs, at }: SurfacePlace): number[] => [
  CONSTANT_SD,
  ...logs.flatMap((log) => [SLOPE.sd * log, CURVE.sd * log * log]),
  ...at.map((x) => OTHER_SLOPE_SD * x),
];
const preference = (amplitude: number, length: number) =>
  -0.5 * (Math.log(amplitude / MIDDLE.amplitude) / MIDDLE.logSd) ** 2 - 0.5 * (Math.log(length / MIDDLE.length) / MIDDLE.logSd) ** 2;

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i]! * b[i]!;
  return sum;
}
