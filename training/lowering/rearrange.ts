import type { GraphWriter } from '../graph-writer';
import { elementsOf } from '../graph-writer';
import { elementTypeNumbers, int, sizeOf } from '../onnx/graph';
import type { Value } from '../shapes';
import { axisOf, reach } from '../shapes';
import type { At } from '../vjp/rule';
import { inputsOf } from '../vjp/rule';
import { splitSizes } from '../vjp/shape';
import type { Lowering } from './lowering';

/** For each element of a padded axis, which element of the axis it repeats. */
function paddedIndex(size: number, before: number, after: number, mode: string): number[] {
  const wrap = (at: number, period: number) => ((at % period) + period) % period;
  return Array.from({ length: size + before + after }, (_, i) => {
    const at = i - before;
    if (mode === 'edge') return Math.max(0, Math.min(size - 1, at));
    if (mode === 'wrap') return wrap(at, size);
    if (size === 1) return 0;
    const folded = wrap(at, 2 * size - 2);
    return folded < size ? folded : 2 * size - 2 - folded;
  });
}

/** Padding that repeats elements picks them along each axis; padding with a constant is a rule of its own. */
const pad = (at: At, g: GraphWriter): readonly Value[] | undefined => {
  const mode = at.text('mode', 'constant');
  if (mode === 'constant') return undefined;
  const { data, pads, axes } = inputsOf(at, ['data', 'pads', 'constant_value?', 'axes?']);
  const listed = at.known(pads, 'pads');
  const along = axes ? at.known(axes, 'axes').map((axis) => axisOf(axis, data.shape.length)) : data.shape.map((_, i) => i);
  return [
    along.reduce((value, axis, i) => {
      const [before, after] = [listed[i] ?? 0, listed[i + along.length] ?? 0];
      if (before === 0 && after === 0) return value;
      const index = paddedIndex(value.shape[axis] ?? 1, before, after, mode);
      return g.emit('Gather', [value, g.ints(index)], { shape: value.shape.with(axis, index.length), type: value.type }, { axis: int(axis) });
    }, data),
  ];
};

/** A vector as operand becomes a matrix of one row or column. */
const vectorMatmul = (at: At, g: GraphWriter): readonly Value[] | undefined => {
  const { A, B } = inputsOf(at, ['A', 'B']);
  if (A.shape.length > 1 && B.shape.length > 1) return undefined;
  const a = A.shape.length === 1 ? g.reshape(A, [1, ...A.shape]) : A;
  const b = B.shape.length === 1 ? g.reshape(B, [...B.shape, 1]) : B;
  const Y = g.matmul(a, b);
  const rank = Y.shape.length;
  const kept = Y.shape.filter((_, i) => !(A.shape.length === 1 && i === rank - 2) && !(B.shape.length === 1 && i === rank - 1));
  return [g.reshape(Y, kept)];
};

/** What is known is cut into slices, which fold. */
const splitConstant = (at: At, g: GraphWriter): readonly Value[] | undefined => {
  const { input, split } = inputsOf(at, ['input', 'split?']);
  if (!input.constant) return undefined;
  const { axis, sizes } = splitSizes(input, split, at);
  let start = 0;
  return sizes.map((size) => g.slice(input, axis, start, (start += size)));
};

/** Operators that only move elements, or that are another operator in a special case. */
export const rearrangeLowerings: Readonly<Record<string, Lowering>> = {
  Pad: pad,
  Split: splitConstant,
  MatMul: vectorMatmul,
  CastLike: (at, g) => {
    const { input, target } = inputsOf(at, ['input', 'target']);
    return [g.emit('Cast', [input], { shape: input.shape, type: target.type }, { to: int(elementTypeNumbers[target.type]) })];
  },
  /** x σ(α x). */
  Swish: (at, g) => {
    const { X } = inputsOf(at, ['X']);
    return [g.mul(X, g.unary('Sigmoid', g.mul(X, at.float('alpha', 1))))];
  },
  DepthToSpace: (at, g) => {
    const { input } = inputsOf(at, ['input']);
    const [n = 1, c = 1, h = 1, w = 1] = input.shape;
    const b = at.int('blocksize', 1);
    const depth = c / (b * b);
    const shape = [n, depth, h * b, w * b];
    return at.text('mode', 'DCR') === 'DCR'
      ? [g.reshape(g.transpose(g.reshape(input, [n, b, b, depth, h, w]), [0, 3, 4, 1, 5, 2]), shape)]
      : [g.reshape(g.transpose(g.reshape(input, [n, depth, b, b, h, w]), [0, 1, 4, 2, 5, 3]), shape)];
  },
  SpaceToDepth: (at, g) => {
    const { input } = inputsOf(at, ['input']);
    const [n = 1, c = 1, h = 1, w = 1] = input.shape;
    const b = at.int('blocksize', 1);
    return [g.reshape(g.transpose(g.reshape(input, [n, c, h / b, b, w / b, b]), [0, 3, 5, 1, 2, 4]), [n, c * b * b, h / b, w / b])];
  },
  /** Columns back into an image, overlaps added: the transposed convolution with one tap a channel of the columns. */
  Col2Im: (at, g) => {
    const { input, image_shape, block_shape } = inputsOf(at, ['input', 'image_shape', 'block_shape']);
    const [image, kernel] = [at.known(image_shape, 'image_shape'), at.known(block_shape, 'block_shape')];
    const window = {
      kernel,
      strides: at.ints('strides') ?? kernel.map(() => 1),
      dilations: at.ints('dilations') ?? kernel.map(() => 1),
      pads: at.ints('pads') ?? [...kernel, ...kernel].map(() => 0),
    };
    const counts = image.map((size, i) => {
      const free = size + (window.pads[i] ?? 0) + (window.pads[i + kernel.length] ?? 0) - reach(kernel[i] ?? 1, window.dilations[i] ?? 1);
      return Math.floor(free / (window.strides[i] ?? 1)) + 1;
    });
    const [samples = 1, width = 1] = input.shape;
    const taps = sizeOf(kernel);
    const channels = width / taps;
    const one = Float32Array.from({ length: width * taps }, (_, flat) => Number(Math.floor(flat / taps) % taps === flat % taps));
    const W = g.constant({ type: 'float32', shape: [width, 1, ...kernel], data: one });
    return [g.convTranspose(g.reshape(input, [samples, width, ...counts]), W, window, channels, image)];
  },
  /** Puts pooled elements back where their maxima were. */
  MaxUnpool: (at, g) => {
    const { X, I, output_shape } = inputsOf(at, ['X', 'I', 'output_shape?']);
    const kernel = at.ints('kernel_shape') ?? [];
    const pads = at.ints('pads') ?? [...kernel, ...kernel].map(() => 0);
    const strides = at.ints('strides') ?? kernel.map(() => 1);
    const spatial = kernel.map((size, i) => ((X.shape[i + 2] ?? 1) - 1) * (strides[i] ?? 1) + size - (pads[i] ?? 0) - (pads[i + kernel.length] ?? 0));
    const shape = output_shape ? at.known(output_shape, 'output_shape') : [...X.shape.slice(0, 2), ...spatial];
    const flat = g.scatterAdd([sizeOf(shape)], g.reshape(I, [elementsOf(I)]), g.reshape(X, [elementsOf(X)]), 0);
    return [g.reshape(flat, shape)];
  },
};
