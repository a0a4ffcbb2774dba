/**
 * The float32 operations that an update rule is written in. Each rounds by itself, to nearest; none is fused. So one
 * rule, run on numbers or compiled to SIMD lanes, gives the same bits.
 */
export interface Arithmetic<V> {
  add(a: V, b: V): V;
  sub(a: V, b: V): V;
  mul(a: V, b: V): V;
  div(a: V, b: V): V;
  /** The larger one; not a number when either is not. */
  max(a: V, b: V): V;
  sqrt(a: V): V;
  abs(a: V): V;
  /** -1, 0 or 1. */
  sign(a: V): V;
}

const { fround } = Math;

/** One number at a time: the reference that compiled rules are tested against. */
export const scalars: Arithmetic<number> = {
  add: (a, b) => fround(a + b),
  sub: (a, b) => fround(a - b),
  mul: (a, b) => fround(a * b),
  div: (a, b) => fround(a / b),
  max: Math.max,
  sqrt: (a) => fround(Math.sqrt(a)),
  abs: Math.abs,
  sign: (a) => (a > 0 ? 1 : 0) - (a < 0 ? 1 : 0),
};
