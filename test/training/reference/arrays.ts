/**
 * The yardstick: forward operators in float64, written plainly from the ONNX specification and independent of
 * `training/`. Central differences of it are what every derivative rule must agree with.
 */
export interface Array64 {
  readonly shape: readonly number[];
  /** Of a mask, which has another meaning than a bias. */
  readonly bool?: boolean;
  readonly data: readonly number[];
}
export interface Options {
  readonly [name: string]: number | readonly number[] | string | readonly string[] | undefined;
}
export type Forward = (inputs: readonly (Array64 | undefined)[], options: Options) => Array64[];

export const size = (shape: readonly number[]): number => shape.reduce((product, axis) => product * axis, 1);
// Plain loops: these two are nearly all of what the differences cost.
export const indexOf = (flat: number, shape: readonly number[]): number[] => {
  const index = new Array<number>(shape.length);
  let rest = flat;
  for (let i = shape.length - 1; i >= 0; i--) {
    index[i] = rest % shape[i]!;
    rest = Math.floor(rest / shape[i]!);
  }
  return index;
};
export const flatOf = (index: readonly number[], shape: readonly number[]): number => {
  let flat = 0;
  for (let i = 0; i < shape.length; i++) flat = flat * shape[i]! + index[i]!;
  return flat;
};
export const build = (shape: readonly number[], at: (index: number[]) => number): Array64 => ({
  shape,
  data: Array.from({ length: size(shape) }, (_, flat) => at(indexOf(flat, shape))),
});
export const at = (x: Array64, index: readonly number[]): number => x.data[flatOf(index, x.shape)]!;
export const stretch = (x: Array64, index: readonly number[]): number =>
  at(
    x,
    x.shape.map((axis, i) => (axis === 1 ? 0 : index[index.length - x.shape.length + i]!)),
  );
export const broadcast = (...shapes: (readonly number[])[]): number[] => {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, i) => Math.max(...shapes.map((shape) => shape[i - rank + shape.length] ?? 1)));
};
export const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

export const list = (value: Options[string], fallback: readonly number[]): readonly number[] =>
  Array.isArray(value) ? (value as number[]) : fallback;
export const number = (value: Options[string], fallback: number): number => (typeof value === 'number' ? value : fallback);

export const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
export const logSumExp = (values: readonly number[]) => {
  const top = Math.max(...values);
  return top + Math.log(sum(values.map((value) => Math.exp(value - top))));
};

export const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
export const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
export const inside = (position: readonly number[], spatial: readonly number[]) => position.every((value, i) => value >= 0 && value < spatial[i]!);
export function groups(X: Array64, axes: readonly number[]): { key: number[]; values: number[] }[] {
  const kept = X.shape.map((axis, i) => (axes.includes(i) ? 1 : axis));
  const found = Array.from({ length: size(kept) }, (_, flat) => ({ key: indexOf(flat, kept), values: [] as number[] }));
  X.data.forEach((value, flat) => {
    const index = indexOf(flat, X.shape).map((part, i) => (axes.includes(i) ? 0 : part));
    found[flatOf(index, kept)]!.values.push(value);
  });
  return found;
}
