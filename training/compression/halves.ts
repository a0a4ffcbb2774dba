import { decodeBf16, decodeFp16, encodeBf16, encodeFp16 } from '../kernels';
import type { Method } from './method';

const formats = {
  fp16: { encode: encodeFp16, decode: decodeFp16 },
  bf16: { encode: encodeBf16, decode: decodeBf16 },
} as const;

/** Two bytes an element, rounded to nearest, ties to even. fp16 has 11 significant bits up to 65,504, bf16 has 8 and float32's range. */
export function halves(kind: keyof typeof formats, scratch: Float32Array): Method {
  const { encode, decode } = formats[kind];
  const chunk = 2 * scratch.length;
  const words = new Uint16Array(scratch.buffer, scratch.byteOffset, chunk);
  return {
    fixedSize: true,
    bytesFor: (elements) => 2 * elements,
    settle(sum) {
      for (let start = 0; start < sum.length; start += chunk) {
        const part = sum.subarray(start, start + chunk);
        const halved = words.subarray(0, part.length);
        encode(halved, part);
        decode(part, halved);
      }
    },
    encode(sum, out) {
      encode(new Uint16Array(out.buffer, out.byteOffset, sum.length), sum);
      return 2 * sum.length;
    },
    decode: (bytes, sum) => decode(sum, new Uint16Array(bytes.buffer, bytes.byteOffset, sum.length)),
  };
}
