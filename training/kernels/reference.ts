/*
 * What the kernels compute, in JavaScript: the definition, and the way where a vector lies outside the kernels' memory.
 * Every NaN that is written is the canonical one, so that both ways give the same bits.
 */

/** out = a + b, float32. `out` may be an operand. */
export function add(out: Float32Array, a: Float32Array, b: Float32Array): void {
  for (let i = 0; i < out.length; i++) {
    const sum = a[i]! + b[i]!; // rounding a float64 sum of two float32 once is the float32 sum
    out[i] = sum === sum ? sum : NaN;
  }
}

/** out = a / divisor, float32; the divisor is one. */
export function divide(out: Float32Array, a: Float32Array, divisor: number): void {
  for (let i = 0; i < out.length; i++) {
    const quotient = a[i]! / divisor;
    out[i] = quotient === quotient ? quotient : NaN;
  }
}

const one = new Float32Array(1);
const bits = new Uint32Array(one.buffer);

/** out = bfloat16 of a, rounded to nearest, ties to even. */
export function encodeBf16(out: Uint16Array, a: Float32Array): void {
  for (let i = 0; i < out.length; i++) {
    const x = a[i]!;
    one[0] = x;
    const word = bits[0]!;
    out[i] = x === x ? (word + 0x7fff + ((word >>> 16) & 1)) >>> 16 : 0x7fc0;
  }
}
/** Exact. */
export function decodeBf16(out: Float32Array, a: Uint16Array): void {
  const words = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < words.length; i++) words[i] = a[i]! << 16;
}

/** out = IEEE 754 binary16 of a, rounded to nearest, ties to even; beyond 65,504 it is infinite. */
export function encodeFp16(out: Uint16Array, a: Float32Array): void {
  for (let i = 0; i < out.length; i++) {
    const x = a[i]!;
    one[0] = Math.abs(x);
    const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
    const word = bits[0]!;
    if (x !== x) out[i] = 0x7e00;
    else if (word >= (127 + 16) << 23) out[i] = sign | 0x7c00;
    else if (word >= 113 << 23) out[i] = sign | ((word - ((127 - 15) << 23) + 0xfff + ((word >>> 13) & 1)) >>> 13);
    // 2^24 is exact, so the multiple of the smallest subnormal is rounded once; `roundEven` is what hardware does.
    else out[i] = sign | roundEven(one[0] * 2 ** 24);
  }
}
/** Exact. */
export function decodeFp16(out: Float32Array, a: Uint16Array): void {
  for (let i = 0; i < out.length; i++) {
    const half = a[i]!;
    const [sign, exponent, digits] = [half & 0x8000 ? -1 : 1, (half >>> 10) & 0x1f, half & 0x3ff];
    if (exponent === 0) out[i] = sign * digits * 2 ** -24;
    else if (exponent < 31) out[i] = sign * (1_024 + digits) * 2 ** (exponent - 25);
    else out[i] = digits === 0 ? sign * Infinity : NaN;
  }
}

function roundEven(x: number): number {
  const down = Math.floor(x);
  const rest = x - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down;
}
