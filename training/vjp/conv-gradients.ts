import * as blocks from '../channel-blocks';
import type { GraphWriter } from '../graph-writer';
import { elementsOf } from '../graph-writer';
import { int, ints, sizeOf } from '../onnx/graph';
import type { Value, Window } from '../shapes';

/** The forms that a convolution's gradients can take, and which is the fastest (docs/benchmarks.md). */
/** Above so many taps the weights' gradient is one convolution; below, a product with the unfolded input is faster (docs/benchmarks.md). */
const IM2COL_TAPS = 9;
/** From so many weights on, one product over all samples beats one a sample with their sum. */
const MANY_WEIGHTS = 2 ** 16;
/** Up to so many weights turning them about costs less than it saves. */
const TURNED_WEIGHTS = 2 ** 17;
/** Up to so many output places a sample, and from so many weights on, one product over all samples beats a transposed convolution. */
const FEW_PLACES = 32;
const HEAVY_WEIGHTS = 2 ** 14;

/** dX `[N, C, …]`. */
export function inputGradient(g: GraphWriter, X: Value, dY: Value, W: Value, window: Window, groups: number): Value {
  const blocked = blocks.inputGradient(g, X, dY, W, window, groups);
  if (blocked) return blocked;
  if (groups === 1 && sizeOf(dY.shape.slice(2)) <= FEW_PLACES && elementsOf(W) >= HEAVY_WEIGHTS) return inputByProduct(g, X, dY, W, window);
  return isCentred(window, W, groups) ? inputByConv(g, dY, W, window) : g.convTranspose(dY, W, window, groups, X.shape.slice(2));
}

/** dW `[M, C/groups, …]`. */
export function weightGradient(g: GraphWriter, X: Value, dY: Value, W: Value, window: Window, groups: number): Value {
  const blocked = blocks.weightGradient(g, X, dY, W, window, groups);
  if (blocked) return blocked;
  return groups === 1 && sizeOf(window.kernel) <= IM2COL_TAPS ? weightsByIm2col(g, X, dY, W, window) : weightsByConv(g, X, dY, W, window, groups);
}

/**
 * dW of a convolution as a convolution: samples take the place of channels, strides and dilations change places.
 * X `[N, G·c, …]` becomes `[c, G·N, …]`, dY `[N, G·m, …]` becomes the kernel `[G·m, N, …]`.
 */
export function weightsByConv(g: GraphWriter, X: Value, dY: Value, W: Value, { kernel, strides, dilations, pads }: Window, groups: number): Value {
  const [n, channels] = X.shape as [number, number];
  const spatial = X.shape.slice(2);
  const rest = spatial.map((_, i) => i + 3);
  const grouped = g.reshape(X, [n, groups, channels / groups, ...spatial]);
  const input = g.reshape(g.transpose(grouped, [2, 1, 0, ...rest]), [channels / groups, groups * n, ...spatial]);
  const taps = g.transpose(dY, [1, 0, ...dY.shape.slice(2).map((_, i) => i + 2)]);
  const wide = g.conv(input, taps, { kernel: dY.shape.slice(2), strides: dilations, dilations: strides, pads }, groups);
  // Rows that no window reached (a stride that does not divide) make it larger than the kernel.
  const exact = kernel.reduce((value, size, i) => g.slice(value, i + 2, 0, size), wide);
  return g.reshape(g.transpose(exact, [1, 0, ...kernel.map((_, i) => i + 2)]), W.shape);
}

/** dW as a product of dY with the unfolded input. */
function weightsByIm2col(g: GraphWriter, X: Value, dY: Value, W: Value, window: Window): Value {
  const { kernel, strides, dilations, pads } = window;
  const rank = kernel.length;
  const out = dY.shape.slice(2);
  const [taps, places] = [sizeOf(kernel), sizeOf(out)];
  const [n, channels] = X.shape as [number, number];
  const filters = dY.shape[1] ?? 1;
  const padded = g.pad(X, [0, 0, ...pads.slice(0, rank), 0, 0, ...pads.slice(rank)]);
  const columnsOf = (source: Value) =>
    Array.from({ length: taps }, (_, tap) => {
      const starts = kernel.map((size, i) => (Math.floor(tap / sizeOf(kernel.slice(i + 1))) % size) * (dilations[i] ?? 1));
      return g.slices(source, 2, starts, out, strides);
    });
  if (elementsOf(W) >= MANY_WEIGHTS) {
    // One product over samples and space, in W's own order: sums over samples and turns of so many weights would cost more.
    const channelsFirst = (value: Value) => g.transpose(value, [1, 0, ...value.shape.slice(2).map((_, i) => i + 2)]);
    const columns = columnsOf(channelsFirst(padded)).map((column) => g.reshape(column, [channels, 1, n * places]));
    const unfolded = g.reshape(g.concat(columns, 1), [channels * taps, n * places]);
    return g.reshape(g.gemm(g.reshape(channelsFirst(dY), [filters, n * places]), unfolded, { transB: true }), W.shape);
  }
  const unfolded = g.reshape(g.concat(columnsOf(padded), 1), [n, taps * channels, places]);
  const perSample = g.matmul(unfolded, g.swapLast(g.reshape(dY, [n, filters, places])));
  return g.reshape(g.transpose(g.reshape(g.sum(perSample, [0]), [taps, channels, filters]), [2, 1, 0]), W.shape);
}

/** True for a small kernel whose output has the input's size: its adjoint is as small a convolution, with a cheap turn of W. */
const isCentred = ({ kernel, strides, dilations, pads }: Window, W: Value, groups: number): boolean =>
  groups === 1 &&
  elementsOf(W) <= TURNED_WEIGHTS &&
  strides.every((stride) => stride === 1) &&
  kernel.every((size, i) => {
    const span = (size - 1) * (dilations[i] ?? 1);
    return size > 1 && pads[i] === span / 2 && pads[i + kernel.length] === span / 2;
  });

/** dX as a convolution of dY with W turned about: ONNX Runtime's convolution is faster than its transposed one. */
function inputByConv(g: GraphWriter, dY: Value, W: Value, window: Window): Value {
  const [filters, channels] = W.shape as [number, number];
  const taps = sizeOf(window.kernel);
  const backwards = g.constant({ type: 'int64', shape: [taps], data: BigInt64Array.from({ length: taps }, (_, i) => BigInt(taps - 1 - i)) });
  const flat = g.reshape(W, [filters, channels, taps]);
  const turned = g.emit('Gather', [g.transpose(flat, [1, 0, 2]), backwards], { shape: [channels, filters, taps], type: W.type }, { axis: int(2) });
  return g.conv(dY, g.reshape(turned, [channels, filters, ...window.kernel]), window, 1);
}

/** dX as one product of dY with W over all samples, `[N·places, C·taps]`, whose taps are then added where they came from. */
function inputByProduct(g: GraphWriter, X: Value, dY: Value, W: Value, { kernel, strides, dilations, pads }: Window): Value {
  const [filters, channels] = W.shape as [number, number];
  const [samples, places, taps] = [X.shape[0] ?? 1, sizeOf(dY.shape.slice(2)), sizeOf(kernel)];
  const rows = g.reshape(g.transpose(g.reshape(dY, [samples, filters, places]), [0, 2, 1]), [samples * places, filters]);
  const product = g.reshape(g.gemm(rows, g.reshape(W, [filters, channels * taps])), [samples, places, channels * taps]);
  const inputs = [g.transpose(product, [0, 2, 1]), g.ints(X.shape.slice(2)), g.ints(kernel)];
  return g.emit('Col2Im', inputs, X, { strides: ints(strides), dilations: ints(dilations), pads: ints(pads) });
}
