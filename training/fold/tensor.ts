import type { At } from '../vjp/rule';
import type { TypeAndShape } from '../shapes';
import { broadcast } from '../shapes';
import type { ElementType, Tensor } from '../onnx/graph';
import { dataOf, numbersOf, sizeOf } from '../onnx/graph';

/**
 * Evaluates one output of a node whose inputs are known. Small and plain: it runs at preparation only. Computes in
 * doubles, exact for integers below 2^53.
 */
export type Fold = (inputs: readonly (Tensor | undefined)[], at: At, out: TypeAndShape) => Tensor;

export const make = ({ shape, type }: TypeAndShape, values: readonly number[]): Tensor => ({ shape, type, data: dataOf(type, values) });
export const isInteger = (type: ElementType) => type !== 'float32' && type !== 'float64';

/** Distance between neighbours along each axis. */
export const stridesOf = (shape: readonly number[]): number[] => shape.map((_, i) => sizeOf(shape.slice(i + 1)));

/** For each element of `shape`, in order, the position that `at` gives for its index. */
export function positions(shape: readonly number[], at: (index: readonly number[]) => number): number[] {
  const strides = stridesOf(shape);
  return Array.from({ length: sizeOf(shape) }, (_, flat) => at(shape.map((axis, i) => Math.floor(flat / (strides[i] ?? 1)) % axis)));
}

/** An operand's elements stretched to `shape`. */
export function stretched(tensor: Tensor, shape: readonly number[]): number[] {
  const values = numbersOf(tensor);
  const strides = stridesOf(tensor.shape);
  const lead = shape.length - tensor.shape.length;
  return positions(shape, (index) =>
    tensor.shape.reduce((sum, axis, i) => sum + (axis === 1 ? 0 : (index[i + lead] ?? 0) * (strides[i] ?? 1)), 0),
  ).map((at) => values[at] ?? 0);
}

export const pointwise =
  (f: (values: number[], type: ElementType) => number): Fold =>
  (inputs, _, out) => {
    const all = inputs as readonly Tensor[];
    const shape = broadcast(...all.map((tensor) => tensor.shape));
    const columns = all.map((tensor) => stretched(tensor, shape));
    return make(
      { shape, type: out.type },
      (columns[0] ?? []).map((_value, i) =>
        f(
          columns.map((column) => column[i] ?? 0),
          all[0]?.type ?? 'float32',
        ),
      ),
    );
  };

/** 1 where `f` holds. */
export const compare = (f: (a: number, b: number) => boolean): Fold => pointwise(([a = 0, b = 0]) => (f(a, b) ? 1 : 0));
export const sameData: Fold = ([X], _, out) => make(out, numbersOf(X as Tensor));
