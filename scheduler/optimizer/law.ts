import { LEAST_NOISE, NOISE_MARGIN } from '../constants';
import { gaussianProcess, type Process, type ProcessPoint } from '../model/matern';
import { nnls } from '../model/nnls';
import type { Surface, SurfacePoint } from './surface-point';

/** The scaling law alone is believed this little; every coefficient may be far from its share. */
const WEAK_RELATIVE_SD = 2;
/** Amplitudes and lengths among which the points themselves choose, by likelihood with a preference for the middle. */
const AMPLITUDES = [0.15, 0.25, 0.4, 0.65, 1];
const LENGTHS = [0.35, 0.6, 1, 1.6];

/** A scaling law by non-negative least squares on relative error, and a Gaussian process on the logarithm of the rest. */
export function fitLaw(points: readonly SurfacePoint[], noise: number): Surface {
  const width = points[0]!.features.length;
  const sd = NOISE_MARGIN * Math.max(noise, LEAST_NOISE);
  const rows = points.map(({ features, value }) => features.map((phi) => phi / (LAW_SD * value)));
  const b = points.map(() => 1 / LAW_SD);
  // A weak prior of equal shares at the middle of what was seen keeps the law from leaning on one term.
  for (let j = 0; j < width; j += 1) {
    const usual =
      geometricMean(points.map(({ value }) => value)) / (width * geometricMean(points.map(({ features }) => Math.max(features[j]!, 1e-3))));
    rows.push(Array.from({ length: width }, (_, i) => (i === j ? 1 / (WEAK_RELATIVE_SD * usual) : 0)));
    b.push(1 / WEAK_RELATIVE_SD);
  }
  const theta = nnls(rows, b);
  const law = (features: readonly number[]) =>
    Math.max(
      1e-12,
      features.reduce((sum, phi, i) => sum + phi * theta[i]!, 0),
    );
  const residuals = points.map(({ features, at, value }) => ({ at, value: Math.log(value / law(features)), noise: sd }));
  const processes = likeliest(residuals);
  return ({ features, at }) => {
    let mean = 0;
    let square = 0;
    for (const { weight, process } of processes) {
      const predicted = process.predict(at);
      mean += weight * predicted.mean;
      square += weight * (predicted.mean ** 2 + predicted.variance);
    }
    return { logMean: Math.log(law(features)) + mean, variance: Math.max(0, square - mean * mean) + sd * sd };
  };
}
/** What the law may miss: the process is there for the rest. */
const LAW_SD = 0.15;
/** Processes less likely than this beside the best are left out. */
const LEAST_WEIGHT = 0.05;

const geometricMean = (values: readonly number[]) => Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

/** Processes of several amplitudes and lengths, weighted by evidence and a preference for the middle. Source: Rasmussen and Williams 2006, equation 5.8. */
function likeliest(points: readonly ProcessPoint[]): { weight: number; process: Process }[] {
  const all = AMPLITUDES.flatMap((amplitude) =>
    LENGTHS.map((length) => {
      const preference = -0.5 * (Math.log(amplitude / 0.4) / 0.7) ** 2 - 0.5 * (Math.log(length / 0.5) / 0.7) ** 2;
      const process = gaussianProcess(points, amplitude, length);
      return { process, score: process.logEvidence + preference };
    }),
  );
  const most = Math.max(...all.map(({ score }) => score));
  const kept = all.map(({ process, score }) => ({ process, weight: Math.exp(score - most) })).filter(({ weight }) => weight >= LEAST_WEIGHT);
  const total = kept.reduce((sum, { weight }) => sum + weight, 0);
  return kept.map(({ process, weight }) => ({ process, weight: weight / total }));
}
