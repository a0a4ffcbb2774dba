/** Of some seeds' values. */
export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};
/** `1.67 (1.61-1.70)`: median and range; one value alone where all are alike. */
export function spread(values, digits = 2) {
  const [least, most] = [Math.min(...values), Math.max(...values)].map((value) => value.toFixed(digits));
  return least === most ? least : `${median(values).toFixed(digits)} (${least}-${most})`;
}
