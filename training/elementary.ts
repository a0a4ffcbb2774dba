/*
 * Elementary functions in float64 that every host gives the same bits for: only + - * /, no library's exp, log, pow or cos.
 */

/** base^exponent by squaring, for a whole exponent from 0. */
export function power(base: number, exponent: number): number {
  let result = 1;
  let square = base;
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result *= square;
    square *= square;
  }
  return result;
}

/** cos(pi * t) for t in [0, 1]: Taylor's series to x^22, Horner's scheme; exact at 0, 1/2 and 1. */
export function cosinePi(t: number): number {
  if (t > 0.5) return -cosinePi(1 - t);
  if (t === 0.5) return 0;
  const square = Math.PI * t * (Math.PI * t);
  let sum = 1;
  for (let n = 22; n >= 2; n -= 2) sum = 1 - (sum * square) / (n * (n - 1));
  return sum;
}

/** e^x for |x| below 700: x = k ln 2 + r with |r| at most ln 2 / 2, Taylor's series to r^17. */
export function exponential(x: number): number {
  const k = Math.round(x / Math.LN2);
  const r = x - k * Math.LN2;
  let sum = 1;
  for (let n = 17; n >= 1; n--) sum = 1 + (sum * r) / n;
  return k < 0 ? sum / power(2, -k) : sum * power(2, k);
}

/** ln x for x above 0: x = m 2^k with m in [1/sqrt 2, sqrt 2], then 2 artanh((m - 1) / (m + 1)) to the 25th power. */
export function logarithm(x: number): number {
  let m = x;
  let k = 0;
  while (m > Math.SQRT2) {
    m /= 2;
    k++;
  }
  while (m < Math.SQRT1_2) {
    m *= 2;
    k--;
  }
  const t = (m - 1) / (m + 1);
  const square = t * t;
  let sum = 0;
  for (let n = 25; n >= 1; n -= 2) sum = sum * square + 1 / n;
  return 2 * t * sum + k * Math.LN2;
}

/** base^exponent for any exponent from 0 and a base from 0. */
export function powerOf(base: number, exponent: number): number {
  if (Number.isInteger(exponent)) return power(base, exponent);
  return base === 0 ? 0 : exponential(exponent * logarithm(base));
}
