// AssemblyScript, compiled by scripts/build-kernels.mjs; its lines in JavaScript are training/kernels/reference.ts, and
// give the same bits. Pointers are byte offsets in the one memory, lengths count elements. `out` may be an operand.

/** Every NaN that is written has these bits: engines and instruction sets choose unlike ones. */
const NAN_BITS: u32 = 0x7fc00000;

function settled(x: v128): v128 {
  return v128.bitselect(x, i32x4.splat(NAN_BITS), f32x4.eq(x, x));
}
function settledOne(x: f32): f32 {
  return x == x ? x : reinterpret<f32>(NAN_BITS);
}

/** out = a + b */
export function add(out: usize, a: usize, b: usize, length: i32): void {
  let i = 0;
  for (; i + 8 <= length; i += 8) {
    const first = settled(f32x4.add(v128.load(a), v128.load(b)));
    const second = settled(f32x4.add(v128.load(a, 16), v128.load(b, 16)));
    v128.store(out, first);
    v128.store(out, second, 16);
    out += 32;
    a += 32;
    b += 32;
  }
  for (; i < length; i++) {
    store<f32>(out, settledOne(load<f32>(a) + load<f32>(b)));
    out += 4;
    a += 4;
    b += 4;
  }
}

/** out = a / divisor */
export function divide(out: usize, a: usize, divisor: f32, length: i32): void {
  const divisors = f32x4.splat(divisor);
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    v128.store(out, settled(f32x4.div(v128.load(a), divisors)));
    out += 16;
    a += 16;
  }
  for (; i < length; i++) {
    store<f32>(out, settledOne(load<f32>(a) / divisor));
    out += 4;
    a += 4;
  }
}
