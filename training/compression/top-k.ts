import type { Method } from './method';
import { selecting } from './selecting';

/**
 * The largest elements by magnitude, round(density * P) of them and at least one, the first ones among equals.
 * Source: Stich, Cordonnier, Jaggi 2018, "Sparsified SGD with Memory".
 */
export function topK({ density }: { density: number }): Method {
  return selecting((accumulated) => {
    const wanted = Math.max(1, Math.round(density * accumulated.length));
    const { magnitude, equals } = smallestOfLargest(accumulated, wanted);
    const bits = new Uint32Array(accumulated.buffer, accumulated.byteOffset, accumulated.length);
    let left = equals;
    return (i) => {
      const own = bits[i]! & MAGNITUDE;
      return own > magnitude || (own === magnitude && left-- > 0);
    };
  });
}

const MAGNITUDE = 0x7fffffff;
const LOW_BITS = 15;

/**
 * The magnitude of the `wanted`-th largest element, as the bits of a float32, which sort like the numbers themselves; NaN is
 * above all. `equals`: how many of that magnitude belong to the largest. Two counting passes.
 */
function smallestOfLargest(values: Float32Array, wanted: number): { magnitude: number; equals: number } {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const high = new Uint32Array(1 << 16);
  for (let i = 0; i < bits.length; i++) high[(bits[i]! & MAGNITUDE) >>> LOW_BITS]!++;
  const upper = countDown(high, wanted);
  const low = new Uint32Array(1 << LOW_BITS);
  for (let i = 0; i < bits.length; i++) {
    const magnitude = bits[i]! & MAGNITUDE;
    if (magnitude >>> LOW_BITS === upper.bucket) low[magnitude & ((1 << LOW_BITS) - 1)]!++;
  }
  const lower = countDown(low, upper.left);
  return { magnitude: (upper.bucket << LOW_BITS) | lower.bucket, equals: lower.left };
}

/** The bucket in which the `wanted`-th one from above lies, and how many are wanted of it. */
function countDown(counts: Uint32Array, wanted: number): { bucket: number; left: number } {
  let left = wanted;
  let bucket = counts.length - 1;
  for (; counts[bucket]! < left; bucket--) left -= counts[bucket]!;
  return { bucket, left };
}
