import type { Fold } from './tensor';
import { compare, isInteger, pointwise } from './tensor';

export const elementwiseFolds: Readonly<Record<string, Fold>> = {
  Add: pointwise(([a = 0, b = 0]) => a + b),
  Sub: pointwise(([a = 0, b = 0]) => a - b),
  Mul: pointwise(([a = 0, b = 0]) => a * b),
  Div: pointwise(([a = 0, b = 1], type) => (isInteger(type) ? Math.trunc(a / b) : a / b)),
  // The remainder has the divisor's sign, or the dividend's with fmod.
  Mod: ([a, b], at, out) =>
    pointwise(([x = 0, y = 1]) => (at.int('fmod', 0) === 1 || x % y === 0 || x % y < 0 === y < 0 ? x % y : (x % y) + y))([a, b], at, out),
  Pow: pointwise(([a = 0, b = 1]) => a ** b),
  Min: pointwise((values) => Math.min(...values)),
  Max: pointwise((values) => Math.max(...values)),
  Neg: pointwise(([a = 0]) => -a),
  Abs: pointwise(([a = 0]) => Math.abs(a)),
  Sqrt: pointwise(([a = 0]) => Math.sqrt(a)),
  Floor: pointwise(([a = 0]) => Math.floor(a)),
  Ceil: pointwise(([a = 0]) => Math.ceil(a)),
  Sign: pointwise(([a = 0]) => Math.sign(a)),
  Exp: pointwise(([a = 0]) => Math.exp(a)),
  Log: pointwise(([a = 0]) => Math.log(a)),
  Reciprocal: pointwise(([a = 1]) => 1 / a),
  Clip: ([X, low, high], at, out) => {
    const [min, max] = [low ? Number(low.data[0]) : -Infinity, high ? Number(high.data[0]) : Infinity];
    return pointwise(([a = 0]) => Math.min(Math.max(a, min), max))([X], at, out);
  },
  Sum: pointwise((values) => values.reduce((a, b) => a + b, 0)),
  Not: pointwise(([a = 0]) => Number(a === 0)),
  And: pointwise(([a = 0, b = 0]) => Number(a !== 0 && b !== 0)),
  Or: pointwise(([a = 0, b = 0]) => Number(a !== 0 || b !== 0)),
  Xor: compare((a, b) => (a !== 0) !== (b !== 0)),
  Equal: compare((a, b) => a === b),
  Less: compare((a, b) => a < b),
  Greater: compare((a, b) => a > b),
  LessOrEqual: compare((a, b) => a <= b),
  GreaterOrEqual: compare((a, b) => a >= b),
  Where: pointwise(([condition = 0, a = 0, b = 0]) => (condition !== 0 ? a : b)),
};
