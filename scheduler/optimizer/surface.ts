import { fitLaw } from './law';
import { fitPowers } from './powers';

/** Where an option lies, as models of its time see it. */
export interface SurfacePlace {
  /** Terms that a time may be a sum of. */
  readonly features: readonly number[];
  /** Settings between 0 and 1. */
  readonly at: readonly number[];
  /** Logarithms of the settings by whose powers a time may scale: workers, speed. */
  readonly logs: readonly number[];
}
/** One measured point of an unknown surface. */
export interface SurfacePoint extends SurfacePlace {
  readonly value: number;
}
/** Mean and variance of the logarithm, noise of a measurement included. */
export type Surface = (place: SurfacePlace) => { readonly logMean: number; readonly variance: number };

/**
 * Time as a sum of terms and time as a product of powers, half each. They agree near what was measured; where they do not,
 * the time is uncertain. On held-out tables the two together are better calibrated than either (docs/decisions/0085).
 */
export function fitSurface(points: readonly SurfacePoint[], noise: number): (place: SurfacePlace) => { median: number; logSd: number } {
  const views = [fitLaw(points, noise), fitPowers(points, noise)];
  return (place) => {
    const each = views.map((view) => view(place));
    const mean = each.reduce((sum, { logMean }) => sum + logMean, 0) / each.length;
    const variance = each.reduce((sum, { logMean, variance: own }) => sum + own + (logMean - mean) ** 2, 0) / each.length;
    return { median: Math.exp(mean), logSd: Math.sqrt(variance) };
  };
}
