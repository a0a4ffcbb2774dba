import type { Method } from './method';
import { selecting } from './selecting';

const { abs } = Math;

/**
 * Elements that would move their parameter by more than a share of it: |rate * mean gradient| > threshold / sqrt(step + 1) *
 * |parameter|. So less and less is held back, as updates get smaller.
 * Source: Sánchez-Artigas and Sarroca 2021, "MLLess", whose filter is Gaia's (Hsieh et al. 2017).
 */
export function significance({ threshold }: { threshold: number }): Method {
  return selecting((accumulated, { step, samples, params, learningRate }) => {
    const share = (threshold / Math.sqrt(step + 1)) * (samples / learningRate);
    // A NaN is not held back: it has to be seen.
    return (i) => !(abs(accumulated[i]!) <= share * abs(params[i]!));
  });
}
