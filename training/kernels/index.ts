import { kernelsFor } from './memory';
import * as reference from './reference';

export { HeapVectors, KernelMemory, kernelsFor, type Kernels, type Vectors } from './memory';

/*
 * Elementwise work on vectors, at the speed of memory where all of them lie in one `KernelMemory`, and with the same bits
 * everywhere. `out` gives the length, and may be an operand of its own size.
 */

/** out = a + b, float32. */
export function add(out: Float32Array, a: Float32Array, b: Float32Array): void {
  const kernels = kernelsFor(out, a, b);
  if (kernels) kernels.add(out.byteOffset, a.byteOffset, b.byteOffset, out.length);
  else reference.add(out, a, b);
}

/** out = a / divisor, rounded to float32. */
export function divide(out: Float32Array, a: Float32Array, divisor: number): void {
  // A divisor that is no float32 would be rounded first.
  const kernels = Math.fround(divisor) === divisor ? kernelsFor(out, a) : undefined;
  if (kernels) kernels.divide(out.byteOffset, a.byteOffset, divisor, out.length);
  else reference.divide(out, a, divisor);
}

/** out = bfloat16 of a, rounded to nearest, ties to even. */
export function encodeBf16(out: Uint16Array, a: Float32Array): void {
  const kernels = kernelsFor(out, a);
  if (kernels) kernels.encodeBf16(out.byteOffset, a.byteOffset, out.length);
  else reference.encodeBf16(out, a);
}

/** out = a as float32; exact. */
export function decodeBf16(out: Float32Array, a: Uint16Array): void {
  const kernels = kernelsFor(out, a);
  if (kernels) kernels.decodeBf16(out.byteOffset, a.byteOffset, out.length);
  else reference.decodeBf16(out, a);
}

/** out = IEEE 754 binary16 of a, rounded to nearest, ties to even; beyond 65,504 it is infinite. */
export function encodeFp16(out: Uint16Array, a: Float32Array): void {
  const kernels = kernelsFor(out, a);
  if (kernels) kernels.encodeFp16(out.byteOffset, a.byteOffset, out.length);
  else reference.encodeFp16(out, a);
}

/** out = a as float32; exact. */
export function decodeFp16(out: Float32Array, a: Uint16Array): void {
  const kernels = kernelsFor(out, a);
  if (kernels) kernels.decodeFp16(out.byteOffset, a.byteOffset, out.length);
  else reference.decodeFp16(out, a);
}
