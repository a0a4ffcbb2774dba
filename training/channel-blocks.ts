import type { GraphWriter } from './graph-writer';
import type { Attributes, Graph } from './onnx/graph';
import { int, ints, sizeOf } from './onnx/graph';
import type { Value, Window } from './shapes';

/**
 * Convolutions in ONNX Runtime's blocked layout, NCHWc: channels in blocks of 16, `[N, C/16, H, W, 16]` in memory, while
 * shapes still say `[N, C, H, W]`. It has direct kernels for that layout, but uses them by itself only for weights that
 * never change; these graphs name them. The block's size is the CPU's (16 with AVX-512, 8 with AVX2), so a graph with
 * blocks runs only where `channelBlock()` of runtime.ts says 16 (docs/decisions/0035).
 * 1. A filter `[M, C, …]` lies as `[M/16, C/16, …, 16 of C, 16 of M]`, for fewer than 16 input channels as `[M/16, C, …, 16 of M]`.
 * 2. Inputs of fewer than 16 channels stay as they are.
 */
export const CHANNEL_BLOCK = 16;
/** ONNX Runtime's own operators on blocks. */
const BLOCK_DOMAIN = 'com.microsoft.nchwc';
export const hasBlocks = ({ nodes }: Graph): boolean => nodes.some(({ domain }) => domain === BLOCK_DOMAIN);

/** From so many output places on (over all samples) the kernels gain more than turning the weights costs. */
const MANY_PLACES = 2048;
/** The same for the weights' gradient, which turns less. */
const SOME_PLACES = 512;
/** The kernel of the weights' gradient is dY itself: pieces of so many elements stay in a core's cache. */
const CACHED_ELEMENTS = 2 ** 17;

const whole = (channels: number): boolean => channels % CHANNEL_BLOCK === 0;
const fitsInput = (channels: number): boolean => channels < CHANNEL_BLOCK || whole(channels);
const places = ({ shape }: Value): number => (shape[0] ?? 1) * sizeOf(shape.slice(2));

/** Whether a convolution of `from` channels to `to` has a blocked form. */
const hasForm = (g: GraphWriter, X: Value, groups: number, from: number, to: number): boolean =>
  g.blocked && groups === 1 && X.shape.length === 4 && X.type === 'float32' && fitsInput(from) && whole(to);

/** What a writer has brought into blocks already, by name: dY is needed by two gradients. */
const blocksOf = new WeakMap<GraphWriter, Map<string, Value>>();

export function toBlocks(g: GraphWriter, X: Value): Value {
  let values = blocksOf.get(g);
  if (!values) blocksOf.set(g, (values = new Map()));
  let made = values.get(X.name);
  if (!made) values.set(X.name, (made = g.emit('ReorderInput', [X], X, {}, BLOCK_DOMAIN)));
  return made;
}

const fromBlocks = (g: GraphWriter, X: Value): Value => g.emit('ReorderOutput', [X], X, { channels: int(X.shape[1] ?? 1) }, BLOCK_DOMAIN);

/** A convolution with an input and a filter that lie in blocks, optionally added to `sum`. */
export function blockedConv(g: GraphWriter, X: Value, filter: Value, window: Window, shape: readonly number[], B?: Value, sum?: Value): Value {
  const { kernel, strides, dilations, pads } = window;
  const attributes: Attributes = { kernel_shape: ints(kernel), strides: ints(strides), dilations: ints(dilations), pads: ints(pads) };
  return g.emit('Conv', [X, filter, B, sum], { shape, type: X.type }, attributes, BLOCK_DOMAIN);
}

/** The input of a convolution, brought into blocks where it has whole ones. */
const inputOf = (g: GraphWriter, X: Value): Value => (whole(X.shape[1] ?? 1) ? toBlocks(g, X) : X);

/** W `[M, C, …]` as the filter of a convolution from C to M channels. */
function filterOf(g: GraphWriter, W: Value): Value {
  const [filters, channels] = W.shape as [number, number];
  const taps = sizeOf(W.shape.slice(2));
  const inner = toBlocks(g, g.reshape(W, [1, filters, channels * taps, 1]));
  if (channels < CHANNEL_BLOCK) return g.reshape(inner, W.shape);
  const blocks = g.reshape(inner, [filters / CHANNEL_BLOCK, channels / CHANNEL_BLOCK, CHANNEL_BLOCK, taps, CHANNEL_BLOCK]);
  return g.reshape(g.transpose(blocks, [0, 1, 3, 2, 4]), W.shape);
}

/** W `[M, C, …]` turned about as the filter of a convolution from M to C channels. */
function turnedFilterOf(g: GraphWriter, W: Value): Value {
  const [filters, channels, ...kernel] = W.shape as [number, number, ...number[]];
  const taps = sizeOf(kernel);
  const inner = toBlocks(g, g.reshape(W, [filters, channels, taps, 1]));
  const outer = channels / CHANNEL_BLOCK;
  const backwards = g.constant({ type: 'int64', shape: [taps], data: BigInt64Array.from({ length: taps }, (_, i) => BigInt(taps - 1 - i)) });
  const turn = (value: Value, axis: number) => g.emit('Gather', [value, backwards], value, { axis: int(axis) });
  const turned =
    filters < CHANNEL_BLOCK
      ? turn(g.transpose(g.reshape(inner, [filters, outer, taps, CHANNEL_BLOCK]), [1, 0, 2, 3]), 2)
      : turn(g.transpose(g.reshape(inner, [filters / CHANNEL_BLOCK, CHANNEL_BLOCK, outer, taps, CHANNEL_BLOCK]), [2, 0, 3, 1, 4]), 2);
  return g.reshape(turned, [channels, filters, ...kernel]);
}

/** Y = X ∗ W + B `[N, M, …]`, where blocks are faster; else undefined. */
export function convolution(g: GraphWriter, X: Value, W: Value, B: Value | undefined, window: Window, groups: number, Y: Value): Value | undefined {
  const [filters, channels] = W.shape as [number, number];
  if (!hasForm(g, X, groups, channels, filters) || places(Y) < MANY_PLACES) return undefined;
  return fromBlocks(g, blockedConv(g, inputOf(g, X), filterOf(g, W), window, Y.shape, B));
}

/** dX of a convolution whose windows move by one: the convolution of dY with W turned about, where blocks are faster. */
export function inputGradient(g: GraphWriter, X: Value, dY: Value, W: Value, window: Window, groups: number): Value | undefined {
  const [filters, channels] = W.shape as [number, number];
  if (!hasForm(g, X, groups, filters, channels) || places(X) < MANY_PLACES) return undefined;
  const { kernel, strides, dilations, pads } = window;
  const rest = pads.map((pad, i) => ((kernel[i % kernel.length] ?? 1) - 1) * (dilations[i % kernel.length] ?? 1) - pad);
  if (strides.some((stride) => stride !== 1) || rest.some((pad) => pad < 0)) return undefined;
  return fromBlocks(g, blockedConv(g, inputOf(g, dY), turnedFilterOf(g, W), { ...window, pads: rest }, X.shape));
}

/**
 * dW as a convolution, where blocks are faster: samples take the place of input channels, strides and dilations change
 * places, and dY is the kernel. Fewer than 16 samples at a time, so that X needs no blocks; each piece is added to the one before.
 */
export function weightGradient(g: GraphWriter, X: Value, dY: Value, W: Value, window: Window, groups: number): Value | undefined {
  const [filters, channels] = W.shape as [number, number];
  const { kernel, strides, dilations, pads } = window;
  const taps = sizeOf(kernel);
  const out = dY.shape.slice(2);
  const elementsPerSample = filters * sizeOf(out);
  const samples = dY.shape[0] ?? 1;
  if (!hasForm(g, X, groups, 1, filters) || taps === 1 || elementsPerSample > CACHED_ELEMENTS || places(dY) < SOME_PLACES) return undefined;
  const piece = Math.min(CHANNEL_BLOCK - 1, Math.max(1, Math.floor(CACHED_ELEMENTS / elementsPerSample)));
  const pieces = Math.ceil(samples / piece);
  const sizes = Array.from({ length: pieces }, (_, i) => Math.floor(((i + 1) * samples) / pieces) - Math.floor((i * samples) / pieces));

  const padded = g.pad(X, [0, 0, ...pads.slice(0, 2), 0, 0, ...pads.slice(2)]);
  const inputs = g.split(g.transpose(padded, [1, 0, 2, 3]), 1, sizes);
  const blocks = filters / CHANNEL_BLOCK;
  const byBlock = g.transpose(g.reshape(toBlocks(g, dY), [samples, blocks, CHANNEL_BLOCK * sizeOf(out)]), [1, 0, 2]);
  const kernels = g.split(byBlock, 1, sizes);
  // Rows that no window reached (a stride that does not divide) make it larger than the kernel.
  const reached = padded.shape.slice(2).map((size, i) => size - ((out[i] ?? 1) - 1) * (strides[i] ?? 1));
  const swapped: Window = { kernel: out, strides: dilations, dilations: strides, pads: [0, 0, 0, 0] };
  const shape = [channels, filters, ...reached.map((size, i) => Math.floor((size - 1) / (dilations[i] ?? 1)) + 1)];
  const sum = sizes.reduce<Value | undefined>((before, size, i) => {
    const filter = g.reshape(kernels[i] as Value, [filters, size, ...out]);
    return blockedConv(g, inputs[i] as Value, filter, swapped, shape, undefined, before);
  }, undefined) as Value;
  const exact = kernel.reduce((value, size, i) => g.slice(value, i + 2, 0, size), fromBlocks(g, sum));
  return g.reshape(g.transpose(g.reshape(exact, [channels, filters, taps]), [1, 0, 2]), W.shape);
}
