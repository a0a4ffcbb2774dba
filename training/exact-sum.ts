/*
 * Sums without rounding: a value is kept as float64 parts that do not overlap, smallest first, and whose exact sum it is.
 * So the order of adding, and how a set was cut, cannot change a bit. Source: Shewchuk 1997; Python's math.fsum.
 */

/** Adds one finite number, in place. */
export function addExact(parts: number[], value: number): void {
  let x = value;
  let kept = 0;
  for (let i = 0; i < parts.length; i++) {
    const y = parts[i]!;
    const high = x + y;
    const low = Math.abs(x) < Math.abs(y) ? x - (high - y) : y - (high - x);
    if (low !== 0) parts[kept++] = low;
    x = high;
  }
  parts.length = kept;
  parts.push(x);
}

/** The float64 nearest to the exact sum, ties to even. */
export function roundExact(parts: readonly number[]): number {
  let i = parts.length - 1;
  if (i < 0) return 0;
  let high = parts[i]!;
  let low = 0;
  while (i > 0 && low === 0) {
    const x = high;
    const y = parts[--i]!;
    high = x + y;
    low = y - (high - x);
  }
  // Exactly half-way, and more of the same sign below: round away, as the exact sum would.
  if (i > 0 && ((low < 0 && parts[i - 1]! < 0) || (low > 0 && parts[i - 1]! > 0))) {
    const doubled = low * 2;
    const away = high + doubled;
    if (doubled === away - high) high = away;
  }
  return high;
}
