import { convolution } from '../channel-blocks';
import type { GraphWriter } from '../graph-writer';
import { elementsOf } from '../graph-writer';
import { sizeOf } from '../onnx/graph';
import type { Value, Window } from '../shapes';
import { autoPads, reach, sameShape, show, windowShape } from '../shapes';
import { inputGradient, weightGradient, weightsByConv } from './conv-gradients';
import type { At, Rule } from './rule';
import { row } from './rule';

function windowOf(at: At, X: Value, kernel: readonly number[] | undefined): Window {
  if (!kernel) throw at.refuse('no kernel_shape', 'an explicit kernel_shape');
  const spatial = X.shape.slice(2);
  const window = {
    kernel,
    strides: at.ints('strides') ?? kernel.map(() => 1),
    dilations: at.ints('dilations') ?? kernel.map(() => 1),
    pads: at.ints('pads') ?? [...kernel, ...kernel].map(() => 0),
    ceil: at.int('ceil_mode', 0) === 1,
  };
  return { ...window, pads: autoPads(at.text('auto_pad', 'NOTSET'), spatial, window) };
}

const convWindow = (at: At, X: Value, W: Value): Window => windowOf(at, X, at.ints('kernel_shape') ?? W.shape.slice(2));

/** ConvTranspose's window with its pads made explicit, and the spatial shape of its output. */
function transposedWindow(at: At, X: Value, W: Value): { window: Window; spatial: number[] } {
  const kernel = at.ints('kernel_shape') ?? W.shape.slice(2);
  const strides = at.ints('strides') ?? kernel.map(() => 1);
  const dilations = at.ints('dilations') ?? kernel.map(() => 1);
  const extra = at.ints('output_padding') ?? [];
  const mode = at.text('auto_pad', 'NOTSET');
  const whole = kernel.map((size, i) => ((X.shape[i + 2] ?? 1) - 1) * (strides[i] ?? 1) + reach(size, dilations[i] ?? 1) + (extra[i] ?? 0));
  const same = mode.startsWith('SAME') ? kernel.map((_, i) => (X.shape[i + 2] ?? 1) * (strides[i] ?? 1)) : undefined;
  const wanted = at.ints('output_shape')?.slice(-kernel.length) ?? same;
  let pads = at.ints('pads') ?? [...kernel, ...kernel].map(() => 0);
  if (wanted) {
    const totals = whole.map((size, i) => size - (wanted[i] ?? 1));
    if (totals.some((total) => total < 0)) throw at.refuse(`an output ${show(wanted)} beyond the windows' reach ${show(whole)}`, 'output_padding');
    const [small, large] = [totals.map((total) => Math.floor(total / 2)), totals.map((total) => Math.ceil(total / 2))];
    // ONNX Runtime puts the odd one first unless asked for the end.
    pads = mode === 'SAME_UPPER' ? [...small, ...large] : [...large, ...small];
  }
  const spatial = wanted ?? whole.map((size, i) => size - (pads[i] ?? 0) - (pads[i + kernel.length] ?? 0));
  return { window: { kernel, strides, dilations, pads }, spatial: [...spatial] };
}

/** The axes of a sum that leaves one value a channel. */
const allButChannel = (shape: readonly number[]): number[] => shape.flatMap((_, i) => (i === 1 ? [] : [i]));

/** True when the windows tile the input: no overlap, no gap, no padding, nothing left over. */
const tiles = (X: Value, { kernel, strides, dilations, pads }: Window): boolean =>
  sameShape(kernel, strides) &&
  pads.every((pad) => pad === 0) &&
  dilations.every((dilation) => dilation === 1) &&
  kernel.every((size, i) => (X.shape[i + 2] ?? 0) % size === 0);

/** How many of a mask's elements each window of a tiling holds `[N, C, …]`: as a convolution with ones, which is faster than a pool. */
function countedBy(g: GraphWriter, mask: Value, window: Window, Y: Value): Value {
  const planes = (value: Value) => [(value.shape[0] ?? 1) * (value.shape[1] ?? 1), 1, ...value.shape.slice(2)];
  return g.reshape(g.conv(g.reshape(mask, planes(mask)), g.full([1, 1, ...window.kernel], 1, mask.type), { ...window, ceil: false }, 1), Y.shape);
}

/** Pads at the ends as large as the windows really reach with ceil_mode; so later operators need not know of it. */
function reachedPads(X: Value, Y: Value, { kernel, strides, dilations, pads }: Window): number[] {
  const rank = kernel.length;
  const ends = kernel.map(
    (size, i) => ((Y.shape[i + 2] ?? 1) - 1) * (strides[i] ?? 1) + reach(size, dilations[i] ?? 1) - (X.shape[i + 2] ?? 1) - (pads[i] ?? 0),
  );
  return [...pads.slice(0, rank), ...ends];
}

/** How many elements each window averages over, when padding does not count. */
function windowCounts(X: Value, Y: Value, { kernel, strides, dilations, pads }: Window, includePad: boolean): number[] {
  const rank = kernel.length;
  const perAxis = kernel.map((size, i) =>
    Array.from({ length: Y.shape[i + 2] ?? 1 }, (_, out) => {
      const first = out * (strides[i] ?? 1) - (pads[i] ?? 0);
      const extent = X.shape[i + 2] ?? 1;
      const [low, high] = includePad ? [-(pads[i] ?? 0), extent + (pads[i + rank] ?? 0)] : [0, extent];
      return Array.from({ length: size }, (_, k) => first + k * (dilations[i] ?? 1)).filter((at) => at >= low && at < high).length;
    }),
  );
  return perAxis.reduce((products, counts) => products.flatMap((product) => counts.map((count) => product * count)), [1]);
}

const globalPool = (dX: (X: Value, Y: Value, dY: Value, g: GraphWriter) => Value): Rule =>
  row(['X'], {
    shape: ({ X }) => X.shape.map((axis, i) => (i < 2 ? axis : 1)),
    gradient: ({ X }, dY, g, at) => ({ X: () => g.expand(dX(X, at.Y, dY, g), X.shape) }),
  });

/** Convolutions and pools over `[N, C, …]` with any number of spatial axes. */
export const convRules: Record<string, Rule> = {
  /**
   * Y = X ∗ W + B, with X `[N, C, …]`, W `[M, C/groups, …]`.
   *   dX = the transposed convolution of dY with W   dB = Σ dY over samples and space   dW, and dX by other means: conv-gradients.ts
   * Source: ONNX Conv-11; Dumoulin & Visin 2016.
   */
  Conv: row(['X', 'W', 'B?'], {
    shape: ({ X, W }, at) => {
      const groups = at.int('group', 1);
      if ((W.shape[1] ?? 0) * groups !== X.shape[1])
        throw at.refuse(`input of ${X.shape[1]} channels with ${groups} groups of ${W.shape[1]}`, 'channels = groups x channels a group');
      return [X.shape[0] ?? 1, W.shape[0] ?? 1, ...windowShape(X.shape.slice(2), convWindow(at, X, W))];
    },
    flops: ({ W }, { Y }) => 2 * elementsOf(Y) * sizeOf(W.shape.slice(1)),
    faster: ({ X, W, B }, g, at) => convolution(g, X, W, B, convWindow(at, X, W), at.int('group', 1), at.Y),
    gradient: ({ X, W, B }, dY, g, at) => {
      const window = convWindow(at, X, W);
      const groups = at.int('group', 1);
      return {
        X: () => inputGradient(g, X, dY, W, window, groups),
        W: () => weightGradient(g, X, dY, W, window, groups),
        B: B && (() => g.sum(dY, allButChannel(dY.shape))),
      };
    },
  }),

  /**
   * The adjoint of Conv, W `[C, M/groups, …]`: dX = the convolution of dY with W; dW is Conv's with X and dY changing places.
   * Source: ONNX ConvTranspose-11.
   */
  ConvTranspose: row(['X', 'W', 'B?'], {
    shape: ({ X, W }, at) => {
      const { spatial } = transposedWindow(at, X, W);
      return [X.shape[0] ?? 1, (W.shape[1] ?? 1) * at.int('group', 1), ...spatial];
    },
    flops: ({ X, W }) => 2 * elementsOf(X) * sizeOf(W.shape.slice(1)),
    gradient: ({ X, W, B }, dY, g, at) => {
      const { window } = transposedWindow(at, X, W);
      const groups = at.int('group', 1);
      return {
        X: () => {
          // Rows that only output_padding made have no window: they are cut off.
          const pads = reachedPads(dY, X, window);
          const cut = g.pad(dY, [0, 0, ...pads.map((pad) => Math.min(pad, 0)).toSpliced(window.kernel.length, 0, 0, 0)]);
          return g.conv(cut, W, { ...window, pads: pads.map((pad) => Math.max(pad, 0)) }, groups);
        },
        W: () => weightsByConv(g, dY, X, W, window, groups),
        B: B && (() => g.sum(dY, allButChannel(dY.shape))),
      };
    },
  }),

  /**
   * Windows that tile the input: elements equal to their window's maximum share its gradient equally (ONNX Runtime's
   * Indices output would take a slow path). Otherwise dY goes to the first maximum by Indices, exactly as in PyTorch.
   */
  MaxPool: {
    infer: (at) => {
      const X = at.inputs[0] as Value;
      const shape = [...X.shape.slice(0, 2), ...windowShape(X.shape.slice(2), windowOf(at, X, at.ints('kernel_shape')))];
      return [
        { shape, type: X.type },
        { shape, type: 'int64' },
      ];
    },
    gradients: (at, [dY], g) => {
      const X = at.inputs[0] as Value;
      const window = windowOf(at, X, at.ints('kernel_shape'));
      if (at.int('storage_order', 0) !== 0) throw at.refuse('storage_order 1', 'storage_order 0');
      return [
        () => {
          if (!tiles(X, window)) {
            const flat = g.scatterAdd([elementsOf(X)], g.reshape(at.output(1), [elementsOf(at.Y)]), g.reshape(dY as Value, [elementsOf(at.Y)]), 0);
            return g.reshape(flat, X.shape);
          }
          const isMax = g.mask(g.compare('Equal', X, g.repeatSpatial(at.Y, window.kernel)), X.type);
          const ties = countedBy(g, isMax, window, at.Y);
          return g.mul(isMax, g.repeatSpatial(g.div(dY as Value, ties), window.kernel));
        },
      ];
    },
  },

  /** dX = dY over the window's count, spread by a transposed convolution with ones; by repetition where windows tile. */
  AveragePool: row(['X'], {
    shape: ({ X }, at) => [...X.shape.slice(0, 2), ...windowShape(X.shape.slice(2), windowOf(at, X, at.ints('kernel_shape')))],
    gradient: ({ X }, dY, g, at) => ({
      X: () => {
        const window = windowOf(at, X, at.ints('kernel_shape'));
        if (tiles(X, window)) return g.repeatSpatial(g.mul(dY, 1 / sizeOf(window.kernel)), window.kernel);
        const counts = windowCounts(X, at.Y, window, at.int('count_include_pad', 0) === 1);
        const data = Float32Array.from(counts, (count) => 1 / count);
        const share = g.mul(dY, g.constant({ type: 'float32', shape: [1, 1, ...at.Y.shape.slice(2)], data }));
        const channels = X.shape[1] ?? 1;
        const ones = g.full([channels, 1, ...window.kernel], 1);
        return g.convTranspose(share, ones, { ...window, ceil: false, pads: reachedPads(X, at.Y, window) }, channels, X.shape.slice(2));
      },
    }),
  }),

  GlobalAveragePool: globalPool((X, _, dY, g) => g.mul(dY, 1 / sizeOf(X.shape.slice(2)))),
  GlobalMaxPool: globalPool((X, Y, dY, g) => {
    const isMax = g.mask(g.compare('Equal', X, Y), X.type);
    return g.mul(
      isMax,
      g.div(
        dY,
        g.sum(
          isMax,
          X.shape.slice(2).map((_, i) => i + 2),
          true,
        ),
      ),
    );
  }),
};
