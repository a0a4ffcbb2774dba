import { add } from '../kernels';
import type { LaneAt, Method } from './method';
import { sparse } from './sparse';

/** Which elements of a lane's accumulated gradient go out. */
type Chooser = (accumulated: Float32Array, at: LaneAt) => (i: number) => boolean;

/**
 * A lane sends some elements and keeps the others to itself, added to its next gradient (error feedback), so that nothing is
 * lost, only late. Sums of what lanes send are plain sums.
 */
export function selecting(chooser: Chooser): Method {
  return {
    ...sparse,
    settle: () => undefined,
    lane: {
      select(gradient, kept, keeps, at) {
        add(gradient, gradient, kept);
        const goesOut = chooser(gradient, at);
        for (let i = 0; i < gradient.length; i++) {
          const sent = goesOut(i);
          keeps[i] = sent ? 0 : gradient[i]!;
          if (!sent) gradient[i] = 0;
        }
      },
    },
  };
}
