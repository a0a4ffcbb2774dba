// bfloat16 and IEEE 754 binary16, rounded to nearest, ties to even. A NaN becomes the format's positive quiet one.

function encodeBf16Four(x: v128): v128 {
  const odd = v128.and(i32x4.shr_u(x, 16), i32x4.splat(1));
  const rounded = i32x4.shr_u(i32x4.add(i32x4.add(x, i32x4.splat(0x7fff)), odd), 16);
  return v128.bitselect(rounded, i32x4.splat(0x7fc0), f32x4.eq(x, x));
}
function encodeBf16One(x: f32): u16 {
  if (x != x) return 0x7fc0;
  const bits = reinterpret<u32>(x);
  return <u16>((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
}

/** out, uint16 = bfloat16 of a */
export function encodeBf16(out: usize, a: usize, length: i32): void {
  let i = 0;
  for (; i + 8 <= length; i += 8) {
    v128.store(out, i16x8.narrow_i32x4_u(encodeBf16Four(v128.load(a)), encodeBf16Four(v128.load(a, 16))));
    out += 16;
    a += 32;
  }
  for (; i < length; i++) {
    store<u16>(out, encodeBf16One(load<f32>(a)));
    out += 2;
    a += 4;
  }
}

/** out = a, uint16 bfloat16; exact */
export function decodeBf16(out: usize, a: usize, length: i32): void {
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    v128.store(out, i32x4.shl(i32x4.extend_low_i16x8_u(v128.load64_zero(a)), 16));
    out += 16;
    a += 8;
  }
  for (; i < length; i++) {
    store<u32>(out, (<u32>load<u16>(a)) << 16);
    out += 4;
    a += 2;
  }
}

// Source for both directions: F. Giesen, "float->half variants" (2012) and "half->float variants", round to nearest even.
const INFINITY_BITS: u32 = 255 << 23;
const TOO_LARGE: u32 = (127 + 16) << 23;
const SMALLEST_NORMAL: u32 = 113 << 23;
/** Adding it shifts a subnormal's digits to their place, rounded by the adder. */
const SUBNORMAL_SHIFT: u32 = (127 - 15 + (23 - 10) + 1) << 23;

function encodeFp16Four(x: v128): v128 {
  const sign = v128.and(x, i32x4.splat(0x80000000));
  const size = v128.xor(x, sign);
  const odd = v128.and(i32x4.shr_u(size, 13), i32x4.splat(1));
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(size, i32x4.splat(((15 - 127) << 23) + 0xfff)), odd), 13);
  const magic = i32x4.splat(SUBNORMAL_SHIFT);
  const subnormal = i32x4.sub(f32x4.add(size, magic), magic);
  let half = v128.bitselect(subnormal, normal, i32x4.lt_s(size, i32x4.splat(SMALLEST_NORMAL)));
  half = v128.bitselect(i32x4.splat(0x7c00), half, i32x4.ge_s(size, i32x4.splat(TOO_LARGE)));
  half = v128.or(half, i32x4.shr_u(sign, 16));
  return v128.bitselect(i32x4.splat(0x7e00), half, i32x4.gt_s(size, i32x4.splat(INFINITY_BITS)));
}

function decodeFp16Four(half: v128): v128 {
  const exponentBits = i32x4.splat(0x7c00 << 13);
  const digits = i32x4.shl(v128.and(half, i32x4.splat(0x7fff)), 13);
  const exponent = v128.and(digits, exponentBits);
  const normal = i32x4.add(digits, i32x4.splat((127 - 15) << 23));
  const special = i32x4.add(normal, i32x4.splat((128 - 16) << 23));
  const magic = i32x4.splat(SMALLEST_NORMAL);
  const subnormal = f32x4.sub(i32x4.add(normal, i32x4.splat(1 << 23)), magic);
  let x = v128.bitselect(special, normal, i32x4.eq(exponent, exponentBits));
  x = v128.bitselect(subnormal, x, i32x4.eq(exponent, i32x4.splat(0)));
  x = v128.or(x, i32x4.shl(v128.and(half, i32x4.splat(0x8000)), 16));
  return v128.bitselect(x, i32x4.splat(0x7fc00000), f32x4.eq(x, x));
}

/** out, uint16 = binary16 of a; beyond 65,504 it is infinite */
export function encodeFp16(out: usize, a: usize, length: i32): void {
  let i = 0;
  for (; i + 8 <= length; i += 8) {
    v128.store(out, i16x8.narrow_i32x4_u(encodeFp16Four(v128.load(a)), encodeFp16Four(v128.load(a, 16))));
    out += 16;
    a += 32;
  }
  for (; i < length; i++) {
    store<u16>(out, <u16>i32x4.extract_lane(encodeFp16Four(f32x4.splat(load<f32>(a))), 0));
    out += 2;
    a += 4;
  }
}

/** out = a, uint16 binary16; exact */
export function decodeFp16(out: usize, a: usize, length: i32): void {
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    v128.store(out, decodeFp16Four(i32x4.extend_low_i16x8_u(v128.load64_zero(a))));
    out += 16;
    a += 8;
  }
  for (; i < length; i++) {
    store<f32>(out, f32x4.extract_lane(decodeFp16Four(i32x4.splat(<i32>load<u16>(a))), 0));
    out += 4;
    a += 2;
  }
}
