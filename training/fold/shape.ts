import type { Tensor } from '../onnx/graph';
import { numbersOf, sizeOf } from '../onnx/graph';
import { axisOf, permuted } from '../shapes';
import type { Fold } from './tensor';
import { isInteger, make, positions, sameData, stretched, stridesOf } from './tensor';

/** Constants, and what moves elements about. */
export const shapeFolds: Readonly<Record<string, Fold>> = {
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
        append(merged, values[i] ?? [], r * width, (r + 1) * width);
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
      for (const index of chosen) append(gathered, values, (outer * size + index) * inner, (outer * size + index + 1) * inner);
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
  Tile: ([X], _, out) => {
    const tensor = X as Tensor;
    const values = numbersOf(tensor);
    const strides = stridesOf(tensor.shape);
    return make(
      out,
      positions(out.shape, (index) => index.reduce((sum, at, i) => sum + (at % (tensor.shape[i] ?? 1)) * (strides[i] ?? 1), 0)).map(
        (from) => values[from] ?? 0,
      ),
    );
  },
  Pad: ([X, pads, value, axes], _, out) => {
    const tensor = X as Tensor;
    const values = numbersOf(tensor);
    const strides = stridesOf(tensor.shape);
    const along = axes ? numbersOf(axes).map((axis) => axisOf(axis, tensor.shape.length)) : tensor.shape.map((_axis, i) => i);
    const listed = numbersOf(pads as Tensor);
    const before = tensor.shape.map((_axis, i) => (along.includes(i) ? (listed[along.indexOf(i)] ?? 0) : 0));
    const filling = value ? Number(value.data[0]) : 0;
    return make(
      out,
      positions(out.shape, (index) => {
        const from = index.map((at, i) => at - (before[i] ?? 0));
        const inside = from.every((at, i) => at >= 0 && at < (tensor.shape[i] ?? 1));
        return inside ? from.reduce((sum, at, i) => sum + at * (strides[i] ?? 1), 0) : -1;
      }).map((from) => (from < 0 ? filling : (values[from] ?? 0))),
    );
  },
  Trilu: ([X, k], at, out) => {
    const offset = k ? Number(k.data[0]) : 0;
    const upper = at.int('upper', 1) === 1;
    const [rows = 1, columns = 1] = out.shape.slice(-2);
    return make(
      out,
      numbersOf(X as Tensor).map((value, flat) => {
        const distance = (flat % columns) - (Math.floor(flat / columns) % rows) - offset;
        return (upper ? distance >= 0 : distance <= 0) ? value : 0;
      }),
    );
  },
  NonZero: ([X], _, out) => {
    const tensor = X as Tensor;
    const found = numbersOf(tensor).flatMap((value, flat) => (value === 0 ? [] : [flat]));
    return make(
      out,
      stridesOf(tensor.shape).flatMap((stride, axis) => found.map((flat) => Math.floor(flat / stride) % (tensor.shape[axis] ?? 1))),
    );
  },
  OneHot: ([indices, depth, values], at, out) => {
    const axis = axisOf(at.int('axis', -1), out.shape.length);
    const [off = 0, on = 1] = numbersOf(values as Tensor);
    const size = Number((depth as Tensor).data[0]);
    const chosen = numbersOf(indices as Tensor);
    const inner = sizeOf(out.shape.slice(axis + 1));
    return make(
      out,
      Array.from({ length: sizeOf(out.shape) }, (_, flat) => {
        const index = chosen[Math.floor(flat / (inner * size)) * inner + (flat % inner)] ?? 0;
        return (index < 0 ? index + size : index) === Math.floor(flat / inner) % size ? on : off;
      }),
    );
  },
  GatherND: ([X, indices], at, out) => {
    const tensor = X as Tensor;
    const batchDims = at.int('batch_dims', 0);
    const values = numbersOf(tensor);
    const index = numbersOf(indices as Tensor);
    const depth = (indices as Tensor).shape.at(-1) ?? 1;
    const inner = sizeOf(tensor.shape.slice(batchDims + depth));
    const strides = stridesOf(tensor.shape);
    const rowsPerBatch = sizeOf((indices as Tensor).shape.slice(batchDims, -1));
    const batchSize = sizeOf(tensor.shape.slice(batchDims));
    const gathered: number[] = [];
    for (let row = 0; row * depth < index.length; row++) {
      let from = Math.floor(row / rowsPerBatch) * batchSize;
      for (let k = 0; k < depth; k++) from += modulo(index[row * depth + k] ?? 0, tensor.shape[batchDims + k] ?? 1) * (strides[batchDims + k] ?? 1);
      append(gathered, values, from, from + inner);
    }
    return make(out, gathered);
  },
  ScatterND: ([X, indices, updates], at, out) => {
    const tensor = X as Tensor;
    const values = numbersOf(tensor);
    const index = numbersOf(indices as Tensor);
    const depth = (indices as Tensor).shape.at(-1) ?? 1;
    const inner = sizeOf(tensor.shape.slice(depth));
    const strides = stridesOf(tensor.shape);
    numbersOf(updates as Tensor).forEach((update, flat) => {
      const row = Math.floor(flat / inner);
      let to = flat % inner;
      for (let k = 0; k < depth; k++) to += modulo(index[row * depth + k] ?? 0, tensor.shape[k] ?? 1) * (strides[k] ?? 1);
      values[to] = reduced(at.text('reduction', 'none'), values[to] ?? 0, update);
    });
    return make(out, values);
  },
  CumSum: ([X, axis], at, out) => {
    const values = numbersOf(X as Tensor);
    const along = axisOf(Number((axis as Tensor).data[0]), out.shape.length);
    const [stride, size] = [stridesOf(out.shape)[along] ?? 1, out.shape[along] ?? 1];
    const [exclusive, reverse] = [at.int('exclusive', 0) === 1, at.int('reverse', 0) === 1];
    return make(
      out,
      values.map((_, flat) => {
        const here = Math.floor(flat / stride) % size;
        let sum = 0;
        for (let k = 0; k < size; k++)
          if ((reverse ? k > here : k < here) || (k === here && !exclusive)) sum += values[flat + (k - here) * stride] ?? 0;
        return sum;
      }),
    );
  },
};

/** A loop, since arguments of a call are limited. */
function append(to: number[], from: readonly number[], start: number, end: number): void {
  for (let i = start; i < end; i++) to.push(from[i] ?? 0);
}

const modulo = (index: number, size: number): number => (index < 0 ? index + size : index);
function reduced(reduction: string, before: number, update: number): number {
  switch (reduction) {
    case 'add':
      return before + update;
    case 'mul':
      return before * update;
    case 'max':
      return Math.max(before, update);
    case 'min':
      return Math.min(before, update);
    default:
      return update;
  }
}
