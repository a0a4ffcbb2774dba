import { fitLaw } from './law';
import { fitPowers } from './powers';
import type { SurfacePlace, SurfacePoint } from './surface-point';

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
