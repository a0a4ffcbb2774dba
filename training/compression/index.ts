import type { Compression } from '../../contracts/compression';
import { halves } from './halves';
import type { Method } from './method';
import { qsgd } from './qsgd';
import { significance } from './significance';
import { topK } from './top-k';

export type { LaneRule, Method, SumAt } from './method';

/** Floats that a method works in: small enough for the processor's first cache. */
export const SCRATCH_FLOATS = 4_096;

/**
 * @param scratch  where the sums lie, so that the kernels reach both; used within a call only
 * @param seed  of what is drawn
 */
export function methodOf(compression: Compression, scratch: Float32Array, seed: number): Method {
  switch (compression.kind) {
    case 'fp16':
    case 'bf16':
      return halves(compression.kind, scratch);
    case 'qsgd':
      return qsgd({ ...compression, seed });
    case 'top-k':
      return topK(compression);
    case 'significance':
      return significance(compression);
  }
}
