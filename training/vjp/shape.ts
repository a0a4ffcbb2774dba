import { SmltError } from '../../contracts/errors';
import type { GraphWriter } from '../graph-writer';
import { elementsOf } from '../graph-writer';
import type { ElementType } from '../onnx/graph';
import { int as intAttribute, sizeOf } from '../onnx/graph';
import type { Value } from '../shapes';
import { axisOf, broadcast, permuted, show } from '../shapes';
import type { At, Rule } from './rule';
import { elementType, listRow, row } from './rule';

/** Y has X's elements in X's order: dX is dY in X's shape. */
const sameElements = (shape: (X: Value, second: Value | undefined, at: At) => readonly number[]): Rule =>
  row(['data', 'second?'], {
    shape: ({ data, second }, at) => shape(data, second, at),
    gradient: ({ data }, dY, g) => ({ data: () => g.reshape(dY, data.shape) }),
  });

function reshaped(X: Value, wanted: readonly number[], at: At): number[] {
  const copied = wanted.map((axis, i) => (axis === 0 && !at.int('allowzero', 0) ? (X.shape[i] ?? 1) : axis));
  const rest = sizeOf(copied.filter((axis) => axis !== -1));
  const shape = copied.map((axis) => (axis === -1 ? elementsOf(X) / rest : axis));
  if (sizeOf(shape) !== elementsOf(X) || !shape.every(Number.isInteger))
    throw new SmltError(
      'InvalidModel',
      `Reshape of node '${at.node.name}': ${show(X.shape)} does not become ${show(wanted)}; ` +
        `when the graph was exported for one batch size, export it with a dynamic batch axis`,
    );
  return shape;
}

const listedAxes = (axes: Value | undefined, at: At): readonly number[] | undefined => (axes ? at.known(axes, 'axes') : at.ints('axes'));

/** One axis of Slice: first element, step, and how many. Source: ONNX Slice-13. */
function cut(size: number, start: number, end: number, step: number) {
  const clamp = (at: number, low: number, high: number) => Math.max(low, Math.min(high, at < 0 ? at + size : at));
  const first = step > 0 ? clamp(start, 0, size) : clamp(start, 0, size - 1);
  const last = step > 0 ? clamp(end, 0, size) : clamp(end, -1, size - 1);
  return { first, step, length: Math.max(0, Math.ceil((last - first) / step)) };
}
type Cut = ReturnType<typeof cut>;

function cutsOf(
  { data, starts, ends, axes, steps }: { data: Value; starts: Value; ends: Value; axes?: Value | undefined; steps?: Value | undefined },
  at: At,
) {
  const from = at.known(starts, 'starts');
  const to = at.known(ends, 'ends');
  const along = axes ? at.known(axes, 'axes') : from.map((_, i) => i);
  const by = steps ? at.known(steps, 'steps') : from.map(() => 1);
  return along.map((listed, i) => {
    const axis = axisOf(listed, data.shape.length);
    return { axis, ...cut(data.shape[axis] ?? 1, from[i] ?? 0, to[i] ?? 0, by[i] ?? 1) };
  });
}

/** Puts the elements of one axis back where a cut took them from, zeros between. */
function uncut(g: GraphWriter, dY: Value, axis: number, size: number, { first, step, length }: Cut): Value {
  let value = dY;
  let start = first;
  const stride = Math.abs(step);
  if (step < 0) {
    // Reversed first: then it is an ordinary cut that starts at its last element.
    const order = Array.from({ length }, (_, i) => length - 1 - i);
    value = g.emit('Gather', [value, g.ints(order)], value, { axis: { kind: 'int', value: axis } });
    start = first + step * (length - 1);
  }
  if (stride > 1) {
    const apart = [...value.shape.slice(0, axis + 1), 1, ...value.shape.slice(axis + 1)];
    const pads = apart.map(() => 0);
    const padded = g.pad(g.reshape(value, apart), [...pads, ...pads.with(axis + 1, stride - 1)]);
    value = g.reshape(padded, value.shape.with(axis, length * stride));
  }
  const none = value.shape.map(() => 0);
  return g.pad(value, [...none.with(axis, start), ...none.with(axis, size - start - (value.shape[axis] ?? 0))]);
}

/** Begins, then ends, for all axes of X. */
function padsOf({ data, pads, axes }: { data: Value; pads: Value; axes?: Value | undefined }, at: At): number[] {
  const rank = data.shape.length;
  const listed = at.known(pads, 'pads');
  const along = axes ? at.known(axes, 'axes').map((axis) => axisOf(axis, rank)) : data.shape.map((_, i) => i);
  const full = new Array<number>(2 * rank).fill(0);
  along.forEach((axis, i) => {
    full[axis] = listed[i] ?? 0;
    full[axis + rank] = listed[i + along.length] ?? 0;
  });
  return full;
}

/** The parts that a Split node makes. */
export function splitSizes(X: Value, split: Value | undefined, at: At): { axis: number; sizes: number[] } {
  const axis = axisOf(at.int('axis', 0), X.shape.length);
  const listed = split ? at.known(split, 'split sizes') : at.ints('split');
  if (listed) return { axis, sizes: [...listed] };
  const parts = at.int('num_outputs', at.node.outputs.length);
  const size = X.shape[axis] ?? 1;
  const each = Math.ceil(size / parts);
  return { axis, sizes: Array.from({ length: parts }, (_, i) => Math.min(each, size - i * each)) };
}

const valueOf = (at: At): { shape: readonly number[]; type: ElementType } => {
  const attribute = at.node.attributes.value;
  return attribute?.kind === 'tensor' ? attribute.value : { shape: [], type: 'float32' };
};

export const shapeRules: Record<string, Rule> = {
  Reshape: sameElements((X, shape, at) => reshaped(X, at.known(shape as Value, 'shape'), at)),
  Flatten: sameElements((X, _, at) => {
    const axis = at.int('axis', 1);
    const border = axis < 0 ? axis + X.shape.length : axis;
    return [sizeOf(X.shape.slice(0, border)), sizeOf(X.shape.slice(border))];
  }),
  Squeeze: sameElements((X, second, at) => {
    const axes = listedAxes(second, at)?.map((axis) => axisOf(axis, X.shape.length));
    return X.shape.filter((axis, i) => (axes ? !axes.includes(i) : axis !== 1));
  }),
  Unsqueeze: sameElements((X, second, at) => {
    const listed = listedAxes(second, at) ?? [];
    const rank = X.shape.length + listed.length;
    const axes = listed.map((axis) => axisOf(axis, rank));
    const rest = X.shape.values();
    return Array.from({ length: rank }, (_, i) => (axes.includes(i) ? 1 : (rest.next().value ?? 1)));
  }),
  Transpose: row(['data'], {
    shape: ({ data }, at) => permuted(data.shape, at.ints('perm') ?? data.shape.map((_, i) => i).reverse()),
    gradient: ({ data }, dY, g, at) => ({
      data: () => {
        const perm = at.ints('perm') ?? data.shape.map((_, i) => i).reverse();
        return g.transpose(
          dY,
          perm.map((_, i) => perm.indexOf(i)),
        );
      },
    }),
  }),
  /** Broadcasts: dX sums over what was added. */
  Expand: row(['input', 'shape'], {
    shape: ({ input, shape }, at) => broadcast(input.shape, at.known(shape, 'shape')),
    gradient: ({ input }, dY, g) => ({ input: () => g.sumTo(dY, input.shape) }),
  }),
  /** X repeated along each axis: dX sums over the repeats. */
  Tile: row(['input', 'repeats'], {
    shape: ({ input, repeats }, at) => at.known(repeats, 'repeats').map((times, i) => times * (input.shape[i] ?? 1)),
    gradient: ({ input, repeats }, dY, g, at) => ({
      input: () => {
        const split = at.known(repeats, 'repeats').flatMap((times, i) => [times, input.shape[i] ?? 1]);
        return g.sum(
          g.reshape(dY, split),
          input.shape.map((_, i) => 2 * i),
        );
      },
    }),
  }),
  Concat: listRow({
    shape: (inputs, at) => {
      const axis = axisOf(at.int('axis', 0), inputs[0]?.shape.length ?? 0);
      return (inputs[0] as Value).shape.with(
        axis,
        inputs.reduce((total, { shape }) => total + (shape[axis] ?? 1), 0),
      );
    },
    gradient: (inputs, dY, g, at) => {
      const axis = axisOf(at.int('axis', 0), dY.shape.length);
      let start = 0;
      return inputs.map(({ shape }) => {
        const from = start;
        start += shape[axis] ?? 1;
        const to = start;
        return () => g.slice(dY, axis, from, to);
      });
    },
  }),
  /** dX = the parts' gradients side by side; a part that nobody used gives zeros. */
  Split: {
    infer: (at) => {
      const X = at.inputs[0] as Value;
      const { axis, sizes } = splitSizes(X, at.inputs[1], at);
      return sizes.map((size) => ({ shape: X.shape.with(axis, size), type: X.type }));
    },
    gradients: (at, dYs, g) => {
      const X = at.inputs[0] as Value;
      const { axis, sizes } = splitSizes(X, at.inputs[1], at);
      return [
        () =>
          g.concat(
            sizes.map((size, i) => dYs[i] ?? g.full(X.shape.with(axis, size), 0, X.type)),
            axis,
          ),
      ];
    },
  },
  Slice: row(['data', 'starts', 'ends', 'axes?', 'steps?'], {
    shape: (inputs, at) => cutsOf(inputs, at).reduce((shape, { axis, length }) => shape.with(axis, length), inputs.data.shape as number[]),
    gradient: (inputs, dY, g, at) => ({
      data: () => cutsOf(inputs, at).reduce((value, part) => uncut(g, value, part.axis, inputs.data.shape[part.axis] ?? 1, part), dY),
    }),
  }),
  /** Constant padding: dX = the part of dY over X. */
  Pad: row(['data', 'pads', 'value?', 'axes?'], {
    shape: (inputs, at) => {
      const mode = at.text('mode', 'constant');
      if (mode !== 'constant') throw at.refuse(`mode ${mode}`, 'mode constant');
      const pads = padsOf(inputs, at);
      const rank = inputs.data.shape.length;
      return inputs.data.shape.map((axis, i) => axis + (pads[i] ?? 0) + (pads[i + rank] ?? 0));
    },
    gradient: (inputs, dY, g, at) => ({
      data: () =>
        g.pad(
          dY,
          padsOf(inputs, at).map((pad) => -pad),
        ),
    }),
  }),
  /** Keeps a triangle: dX is dY's. */
  Trilu: row(['input', 'k?'], {
    shape: ({ input }) => input.shape,
    gradient: ({ input, k }, dY, g, at) => ({
      input: () => g.emit('Trilu', [dY, k], input, { upper: intAttribute(at.int('upper', 1)) }),
    }),
  }),
  /** Sums run the other way: dX[i] = Σ dY[j] over the j that X[i] went into. */
  CumSum: row(['x', 'axis'], {
    shape: ({ x }) => x.shape,
    gradient: ({ x, axis }, dY, g, at) => ({
      x: () => g.emit('CumSum', [dY, axis], x, { exclusive: intAttribute(at.int('exclusive', 0)), reverse: intAttribute(1 - at.int('reverse', 0)) }),
    }),
  }),
  /** Its own inverse. */
  ReverseSequence: row(['input', 'sequence_lens'], {
    shape: ({ input }) => input.shape,
    gradient: ({ input, sequence_lens }, dY, g, { node }) => ({
      input: () => g.emit('ReverseSequence', [dY, sequence_lens], input, node.attributes),
    }),
  }),

  // What only says something about shapes: folded away where it feeds one.
  Constant: {
    infer: (at) => [valueOf(at)],
    gradients: 'zero',
  },
  Shape: row(['data'], { shape: ({ data }) => ({ shape: [data.shape.length], type: 'int64' }), gradient: 'zero' }),
  Size: row(['data'], { shape: () => ({ shape: [], type: 'int64' }), gradient: 'zero' }),
  ConstantOfShape: row(['input'], { shape: ({ input }, at) => ({ shape: at.known(input, 'shape'), type: valueOf(at).type }), gradient: 'zero' }),
  NonZero: row(['X'], {
    shape: ({ X }, at) => ({ shape: [X.shape.length, at.known(X, 'input').filter((value) => value !== 0).length], type: 'int64' }),
    gradient: 'zero',
  }),
  EyeLike: row(['input'], {
    shape: ({ input }, at) => ({ shape: input.shape, type: at.has('dtype') ? elementType(at.int('dtype', 1), at) : input.type }),
    gradient: 'zero',
  }),
  Range: row(['start', 'limit', 'delta'], {
    shape: ({ start, limit, delta }, at) => {
      const [from, to, by] = [start, limit, delta].map((value) => at.known(value, 'bounds')[0] ?? 0) as [number, number, number];
      return [Math.max(0, Math.ceil((to - from) / by))];
    },
    gradient: 'zero',
  }),
};
