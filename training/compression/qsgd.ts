import { bitsAt, purposes, streamOf } from '../random';
import type { Method } from './method';

/** Elements that share a scale: range borders are multiples of it. */
const BUCKET = 256;
const FLOAT_BYTES = 4;
// Names of this module, since a global one costs a look-up for each element where code runs in a context of its own.
const { abs, floor, round, sign } = Math;
const INFINITY = Infinity;

/**
 * Stochastic quantisation: with L = 2^(bits - 1) - 1 levels and the largest magnitude of its bucket as scale, an element is
 * rounded up or down to a multiple of scale / L, at random so that its expectation stays. Draws follow from (seed, step,
 * node, index), so a sum is quantised to the same bits wherever it is made. A bucket with a number that is not finite is NaN.
 * Source: Alistarh et al. 2017, "QSGD", with the maximum norm, as its implementations have it.
 */
export function qsgd({ bits, seed }: { bits: 4 | 8; seed: number }): Method {
  const levels = 2 ** (bits - 1) - 1;
  const shares = Float32Array.from({ length: levels + 1 }, (_, level) => level / levels);
  const buckets = (elements: number) => Math.ceil(elements / BUCKET);
  const each = (sum: Float32Array, work: (part: Float32Array, bucket: number) => void) => {
    for (let bucket = 0; bucket * BUCKET < sum.length; bucket++) work(sum.subarray(bucket * BUCKET, (bucket + 1) * BUCKET), bucket);
  };

  return {
    fixedSize: true,
    bytesFor: (elements) => FLOAT_BYTES * buckets(elements) + Math.ceil((elements * bits) / 8),

    settle(sum, { step, node, first }) {
      const stream = streamOf(purposes.quantisation, seed, step, node.start, node.end);
      each(sum, (part, bucket) => {
        const scale = largest(part);
        if (!(scale > 0)) return void part.fill(scale);
        const start = first + bucket * BUCKET;
        for (let i = 0; i < part.length; i++) {
          const exact = (abs(part[i]!) / scale) * levels;
          const down = floor(exact);
          const level = bitsAt(stream, start + i) < (exact - down) * 2 ** 32 ? down + 1 : down;
          part[i] = level === 0 ? 0 : sign(part[i]!) * scale * shares[level]!;
        }
      });
    },

    encode(sum, out) {
      const scales = new Float32Array(out.buffer, out.byteOffset, buckets(sum.length));
      const codes = out.subarray(scales.byteLength, this.bytesFor(sum.length)).fill(0);
      each(sum, (part, bucket) => {
        const scale = (scales[bucket] = largest(part));
        for (let i = 0; i < part.length; i++) {
          // The largest settled element is the scale itself, so the level is the nearest one.
          const code = scale > 0 ? round((part[i]! / scale) * levels) + levels : levels;
          const at = bucket * BUCKET + i;
          if (bits === 8) codes[at] = code;
          else codes[at >>> 1]! |= code << (4 * (at & 1));
        }
      });
      return this.bytesFor(sum.length);
    },

    decode(bytes, sum) {
      const scales = new Float32Array(bytes.buffer, bytes.byteOffset, buckets(sum.length));
      const codes = bytes.subarray(scales.byteLength);
      each(sum, (part, bucket) => {
        const scale = scales[bucket]!;
        if (!(scale > 0)) return void part.fill(scale);
        for (let i = 0; i < part.length; i++) {
          const at = bucket * BUCKET + i;
          const level = (bits === 8 ? codes[at]! : (codes[at >>> 1]! >>> (4 * (at & 1))) & 15) - levels;
          part[i] = level === 0 ? 0 : sign(level) * scale * shares[abs(level)]!;
        }
      });
    },
  };
}

/** The largest magnitude; NaN where one is not finite. */
function largest(values: Float32Array): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) {
    const magnitude = abs(values[i]!);
    if (!(magnitude < INFINITY)) return NaN;
    if (magnitude > most) most = magnitude;
  }
  return most;
}
