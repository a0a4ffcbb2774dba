import type { Tensor } from '../onnx/graph';
import { numbersOf, sizeOf } from '../onnx/graph';
import { axisOf, reducedShape } from '../shapes';
import { reducedAxes } from '../vjp/reduce';
import type { At } from '../vjp/rule';
import type { Fold } from './tensor';
import { make, stridesOf } from './tensor';

/** The elements that each element of the result is made of, in order. */
function groups(tensor: Tensor, axes: readonly number[]): number[][] {
  const kept = reducedShape(tensor.shape, axes, true);
  const [from, to] = [stridesOf(tensor.shape), stridesOf(kept)];
  const found = Array.from({ length: sizeOf(kept) }, (): number[] => []);
  numbersOf(tensor).forEach((value, flat) => {
    const target = tensor.shape.reduce(
      (sum, size, i) => (axes.includes(i) ? sum : sum + (Math.floor(flat / (from[i] ?? 1)) % size) * (to[i] ?? 1)),
      0,
    );
    found[target]?.push(value);
  });
  return found;
}

const reduction =
  (f: (values: number[]) => number): Fold =>
  ([X], at: At, out) =>
    make(out, groups(X as Tensor, reducedAxes(at)).map(f));
const arg =
  (better: (a: number, b: number) => boolean): Fold =>
  ([X], at, out) => {
    const axes = [axisOf(at.int('axis', 0), (X as Tensor).shape.length)];
    const last = at.int('select_last_index', 0) === 1;
    const best = (values: number[]) =>
      values.reduce((chosen, value, i) => (better(value, values[chosen] ?? NaN) || (last && value === values[chosen]) ? i : chosen), 0);
    return make(out, groups(X as Tensor, axes).map(best));
  };

export const reduceFolds: Readonly<Record<string, Fold>> = {
  ReduceSum: reduction((values) => values.reduce((a, b) => a + b, 0)),
  ReduceMean: reduction((values) => values.reduce((a, b) => a + b, 0) / values.length),
  ReduceProd: reduction((values) => values.reduce((a, b) => a * b, 1)),
  ReduceMax: reduction((values) => values.reduce((a, b) => Math.max(a, b), -Infinity)),
  ReduceMin: reduction((values) => values.reduce((a, b) => Math.min(a, b), Infinity)),
  ArgMax: arg((a, b) => a > b),
  ArgMin: arg((a, b) => a < b),
};
