import type { ElementType, Tensor } from './onnx/graph';
import { dataOf, numbersOf, sizeOf } from './onnx/graph';
import { axisOf, broadcast, permuted } from './shapes';
import type { TypeAndShape } from './shapes';
import type { At } from './vjp/rule';

/**
 * Evaluates what exporters write to compute shapes, masks and positions, once the batch is fixed. Small and plain: it
 * runs at preparation only. Computes in doubles, exact for integers below 2^53.
 */
type Fold = (inputs: readonly (Tensor | undefined)[], at: At, out: TypeAndShape) => Tensor;

/** Larger results are left to ONNX Runtime. */
export const FOLD_LIMIT = 1 << 20;

const make = ({ shape, type }: TypeAndShape, values: readonly number[]): Tensor => ({ shape, type, data: dataOf(type, values) });
const isInteger = (type: ElementType) => type !== 'float32' && type !== 'float64';

/** Distance between neighbours along each axis. */
const stridesOf = (shape: readonly number[]): number[] => shape.map((_, i) => sizeOf(shape.slice(i + 1)));

/** For each element of `shape`, in order, the position that `at` gives for its index. */
function positions(shape: readonly number[], at: (index: readonly number[]) => number): number[] {
  const strides = stridesOf(shape);
  return Array.from({ length: sizeOf(shape) }, (_, flat) => at(shape.map((axis, i) => Math.floor(flat / (strides[i] ?? 1)) % axis)));
}

/** An operand's elements stretched to `shape`. */
function stretched(tensor: Tensor, shape: readonly number[]): number[] {
  const values = numbersOf(tensor);
  const strides = stridesOf(tensor.shape);
  const lead = shape.length - tensor.shape.length;
  return positions(shape, (index) =>
    tensor.shape.reduce((sum, axis, i) => sum + (axis === 1 ? 0 : (index[i + lead] ?? 0) * (strides[i] ?? 1)), 0),
  ).map((at) => values[at] ?? 0);
}

const pointwise =
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

const compare = (f: (a: number, b: number) => boolean): Fold => pointwise(([a = 0, b = 0]) => (f(a, b) ? 1 : 0));
const sameData: Fold = ([X], _, out) => make(out, numbersOf(X as Tensor));

export const folds: Readonly<Record<string, Fold>> = {
  Constant: (_, { node }, out) => {
    const { value, value_int, value_ints, value_float, value_floats } = node.attributes;
    if (value?.kind === 'tensor') return value.value;
    if (value_int?.kind === 'int') return make({ shape: [], type: 'int64' }, [value_int.value]);
    if (value_ints?.kind === 'ints') return make({ shape: [value_ints.value.length], type: 'int64' }, value_ints.value);
    if (value_float?.kind === 'float') return make({ shape: [], type: 'float32' }, [value_float.value]);
    if (value_floats?.kind === 'floats') return make({ shape: [value_floats.value.length], type: 'float32' }, value_floats.value);
    return make(out, []);
  },
  Identity: sameData,
  Reshape: sameData,
  Flatten: sameData,
  Squeeze: sameData,
  Unsqueeze: sameData,
  Cast: ([X], _, out) =>
    make(
      out,
      numbersOf(X as Tensor).map((value) => (out.type === 'bool' ? Number(value !== 0) : isInteger(out.type) ? Math.trunc(value) : value)),
    ),
  ConstantOfShape: (_, { node }, out) => {
    const value = node.attributes.value;
    return make(out, new Array<number>(sizeOf(out.shape)).fill(value?.kind === 'tensor' ? Number(value.value.data[0] ?? 0) : 0));
  },
  Range: ([start, , delta], _, out) =>
    make(
      out,
      Array.from({ length: out.shape[0] ?? 0 }, (_v, i) => Number((start as Tensor).data[0]) + i * Number((delta as Tensor).data[0])),
    ),
  Expand: ([X], _, out) => make(out, stretched(X as Tensor, out.shape)),
  Transpose: ([X], at, out) => {
    const tensor = X as Tensor;
    const perm = at.ints('perm') ?? tensor.shape.map((_, i) => i).reverse();
    const strides = permuted(stridesOf(tensor.shape), perm);
    const values = numbersOf(tensor);
    return make(
      out,
      positions(out.shape, (index) => index.reduce((sum, value, i) => sum + value * (strides[i] ?? 1), 0)).map((from) => values[from] ?? 0),
    );
  },
  Concat: (inputs, at, out) => {
    const all = inputs.filter((tensor) => tensor !== undefined);
    const axis = axisOf(at.int('axis', 0), out.shape.length);
    const values = all.map(numbersOf);
    const inner = sizeOf(out.shape.slice(axis + 1));
    const rows = sizeOf(out.shape.slice(0, axis));
    const merged: number[] = [];
    for (let r = 0; r < rows; r++)
      all.forEach((tensor, i) => {
        const width = (tensor.shape[axis] ?? 1) * inner;
        merged.push(...(values[i] ?? []).slice(r * width, (r + 1) * width));
      });
    return make(out, merged);
  },
  Gather: ([X, indices], at, out) => {
    const tensor = X as Tensor;
    const axis = axisOf(at.int('axis', 0), tensor.shape.length);
    const size = tensor.shape[axis] ?? 1;
    const inner = sizeOf(tensor.shape.slice(axis + 1));
    const values = numbersOf(tensor);
    const chosen = numbersOf(indices as Tensor).map((index) => (index < 0 ? index + size : index));
    const gathered: number[] = [];
    for (let outer = 0; outer < sizeOf(tensor.shape.slice(0, axis)); outer++)
      for (const index of chosen) gathered.push(...values.slice((outer * size + index) * inner, (outer * size + index + 1) * inner));
    return make(out, gathered);
  },
  Slice: ([X, starts, , axes, steps], at, out) => {
    const tensor = X as Tensor;
    const values = numbersOf(tensor);
    const strides = stridesOf(tensor.shape);
    const along = axes ? numbersOf(axes) : numbersOf(starts as Tensor).map((_, i) => i);
    const first = tensor.shape.map(() => 0);
    const step = tensor.shape.map(() => 1);
    along.forEach((listed, i) => {
      const axis = axisOf(listed, tensor.shape.length);
      const size = tensor.shape[axis] ?? 1;
      const by = steps ? Number(steps.data[i]) : 1;
      const from = Number((starts as Tensor).data[i]);
      step[axis] = by;
      first[axis] = Math.max(0, Math.min(by > 0 ? size : size - 1, from < 0 ? from + size : from));
    });
    return make(
      out,
      positions(out.shape, (index) => index.reduce((sum, value, i) => sum + ((first[i] ?? 0) + value * (step[i] ?? 1)) * (strides[i] ?? 1), 0)).map(
        (from) => values[from] ?? 0,
      ),
    );
  },
  Add: pointwise(([a = 0, b = 0]) => a + b),
  Sub: pointwise(([a = 0, b = 0]) => a - b),
  Mul: pointwise(([a = 0, b = 0]) => a * b),
  Div: pointwise(([a = 0, b = 1], type) => (isInteger(type) ? Math.trunc(a / b) : a / b)),
  Pow: pointwise(([a = 0, b = 1]) => a ** b),
  Min: pointwise((values) => Math.min(...values)),
  Max: pointwise((values) => Math.max(...values)),
  Neg: pointwise(([a = 0]) => -a),
  Abs: pointwise(([a = 0]) => Math.abs(a)),
  Sqrt: pointwise(([a = 0]) => Math.sqrt(a)),
  Floor: pointwise(([a = 0]) => Math.floor(a)),
  Ceil: pointwise(([a = 0]) => Math.ceil(a)),
  Not: pointwise(([a = 0]) => Number(a === 0)),
  And: pointwise(([a = 0, b = 0]) => Number(a !== 0 && b !== 0)),
  Or: pointwise(([a = 0, b = 0]) => Number(a !== 0 || b !== 0)),
  Equal: compare((a, b) => a === b),
  Less: compare((a, b) => a < b),
  Greater: compare((a, b) => a > b),
  LessOrEqual: compare((a, b) => a <= b),
  GreaterOrEqual: compare((a, b) => a >= b),
  Where: pointwise(([condition = 0, a = 0, b = 0]) => (condition !== 0 ? a : b)),
};
