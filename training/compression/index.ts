import type { Compression } from '../../contracts/compression';
import { halves } from './halves';
import type { Method } from './method';

export type { Method, SumAt } from './method';

/** Floats that a method works in: small enough for the processor's first cache. */
export const SCRATCH_FLOATS = 4_096;

/** @param scratch  where the sums lie, so that the kernels reach both; used within a call only */
export function methodOf(compression: Compression, scratch: Float32Array): Method {
  switch (compression.kind) {
    case 'fp16':
    case 'bf16':
      return halves(compression.kind, scratch);
  }
}
