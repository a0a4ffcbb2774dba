// AssemblyScript, compiled by scripts/build-kernels.mjs; storage/checksum/index.ts says what it computes.

let a0: v128 = i64x2.splat(0);
let a1: v128 = i64x2.splat(0);
let a2: v128 = i64x2.splat(0);
let a3: v128 = i64x2.splat(0);
let b0: v128 = i64x2.splat(0);
let b1: v128 = i64x2.splat(0);
let b2: v128 = i64x2.splat(0);
let b3: v128 = i64x2.splat(0);

export function begin(): void {
  a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = i64x2.splat(0);
}

/** Takes so many bytes of the memory, a multiple of 32. */
export function take(from: usize, bytes: usize): void {
  // Kept out of memory: a global is written back at every use.
  let w0 = a0;
  let w1 = a1;
  let w2 = a2;
  let w3 = a3;
  let s0 = b0;
  let s1 = b1;
  let s2 = b2;
  let s3 = b3;
  const end = from + bytes;
  for (let at = from; at < end; at += 32) {
    const left = v128.load(at);
    const right = v128.load(at, 16);
    w0 = i64x2.add(w0, i64x2.extend_low_i32x4_u(left));
    w1 = i64x2.add(w1, i64x2.extend_high_i32x4_u(left));
    w2 = i64x2.add(w2, i64x2.extend_low_i32x4_u(right));
    w3 = i64x2.add(w3, i64x2.extend_high_i32x4_u(right));
    s0 = i64x2.add(s0, w0);
    s1 = i64x2.add(s1, w1);
    s2 = i64x2.add(s2, w2);
    s3 = i64x2.add(s3, w3);
  }
  a0 = w0;
  a1 = w1;
  a2 = w2;
  a3 = w3;
  b0 = s0;
  b1 = s1;
  b2 = s2;
  b3 = s3;
}

/** Odd. */
const MULTIPLIER: u64 = 0x9e3779b97f4a7c15;

function joined(x0: v128, x1: v128, x2: v128, x3: v128): u64 {
  let sum: u64 = i64x2.extract_lane(x0, 0);
  sum = sum * MULTIPLIER + i64x2.extract_lane(x0, 1);
  sum = sum * MULTIPLIER + i64x2.extract_lane(x1, 0);
  sum = sum * MULTIPLIER + i64x2.extract_lane(x1, 1);
  sum = sum * MULTIPLIER + i64x2.extract_lane(x2, 0);
  sum = sum * MULTIPLIER + i64x2.extract_lane(x2, 1);
  sum = sum * MULTIPLIER + i64x2.extract_lane(x3, 0);
  return sum * MULTIPLIER + i64x2.extract_lane(x3, 1);
}
function mixed(x: u64): u64 {
  x = (x ^ (x >>> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >>> 27)) * 0x94d049bb133111eb;
  return x ^ (x >>> 31);
}

export function ofWords(): u32 {
  return <u32>joined(a0, a1, a2, a3);
}
export function ofSums(bytes: u32): u32 {
  return <u32>(mixed(joined(b0, b1, b2, b3) + bytes) >>> 32);
}
