/** The normal distribution, as far as decisions need it. */

export const Z95 = 1.6448536269514722;
export const Z80 = 0.8416212335729143;

export const normalPdf = (z: number): number => Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);

/** Absolute error below 7.5e-8. Source: Abramowitz and Stegun 1964, 26.2.17. */
export function normalCdf(z: number): number {
  if (z === Infinity) return 1;
  if (z === -Infinity) return 0;
  const x = Math.abs(z);
  const t = 1 / (1 + 0.2316419 * x);
  const series = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  const tail = normalPdf(x) * series;
  return z >= 0 ? 1 - tail : tail;
}

/** SD of the logarithm of a log-normal value with this mean and variance. */
export const logSd = (mean: number, variance: number): number => Math.sqrt(Math.log1p(variance / (mean * mean)));

export function median(values: readonly number[]): number {
  if (values.length === 0) return NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
