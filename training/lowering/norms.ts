import { elementsOf } from '../graph-writer';
import { float, int, sizeOf } from '../onnx/graph';
import type { Value } from '../shapes';
import { axisOf } from '../shapes';
import { inputsOf } from '../vjp/rule';
import type { Lowering } from './lowering';

const perChannel = (vector: Value, rank: number): number[] => [1, elementsOf(vector), ...new Array<number>(rank - 2).fill(1)];

export const normLowerings: Readonly<Record<string, Lowering>> = {
  /**
   * Layer norm over the groups' elements, then scale and bias for each channel; below operator set 21 for each group.
   * Source: ONNX GroupNormalization-18 and -21; Wu & He 2018.
   */
  GroupNormalization: (at, g) => {
    const { X, scale, bias } = inputsOf(at, ['X', 'scale', 'bias']);
    const [samples = 1, channels = 1] = X.shape;
    const groups = at.int('num_groups', 1);
    const size = elementsOf(X) / (samples * groups);
    const rows = g.reshape(X, [samples, groups, size]);
    const epsilon = { axis: int(2), epsilon: float(at.float('epsilon', 1e-5)) };
    const hat = g.reshape(g.emit('LayerNormalization', [rows, g.full([size], 1, X.type)], rows, epsilon), X.shape);
    const wide = (vector: Value) => {
      const count = elementsOf(vector);
      const each = g.reshape(g.expand(g.reshape(vector, [count, 1]), [count, channels / count]), [channels]);
      return g.reshape(each, perChannel(each, X.shape.length));
    };
    return [g.add(g.mul(hat, wide(scale)), wide(bias))];
  },
  /** x / √(mean x² + ε) over the axes from `axis` on, times scale. Source: ONNX RMSNormalization-23; Zhang & Sennrich 2019. */
  RMSNormalization: (at, g) => {
    const { X, scale } = inputsOf(at, ['X', 'scale']);
    const axis = axisOf(at.int('axis', -1), X.shape.length);
    const axes = X.shape.flatMap((_, i) => (i < axis ? [] : [i]));
    const root = g.unary('Sqrt', g.add(g.mean(g.square(X), axes, true), at.float('epsilon', 1e-5)));
    return [g.mul(g.div(X, root), scale)];
  },
  /** x / ‖x‖ along one axis, p 1 or 2. */
  LpNormalization: (at, g) => {
    const { input } = inputsOf(at, ['input']);
    const axis = axisOf(at.int('axis', -1), input.shape.length);
    const norm = g.emit(
      at.int('p', 2) === 1 ? 'ReduceL1' : 'ReduceL2',
      [input, g.ints([axis])],
      { shape: input.shape.with(axis, 1), type: input.type },
      { keepdims: int(1) },
    );
    return [g.div(input, norm)];
  },
  /** (x - mean) / (σ + 1e-9), by default over all axes but the channel. */
  MeanVarianceNormalization: (at, g) => {
    const { X } = inputsOf(at, ['X']);
    const axes = (at.ints('axes') ?? [0, 2, 3]).map((axis) => axisOf(axis, X.shape.length));
    const mean = g.mean(X, axes, true);
    const variance = g.sub(g.mean(g.square(X), axes, true), g.square(mean));
    return [g.div(g.sub(X, mean), g.add(g.unary('Sqrt', variance), 1e-9))];
  },
  /** x / (bias + α/size Σ x²)^β, the sum over `size` neighbouring channels. Source: ONNX LRN-13; Krizhevsky et al. 2012. */
  LRN: (at, g) => {
    const { X } = inputsOf(at, ['X']);
    const size = at.int('size', 1);
    const [samples = 1, channels = 1, ...spatial] = X.shape;
    const before = Math.floor((size - 1) / 2);
    const rows = g.reshape(g.square(X), [samples, 1, channels, sizeOf(spatial)]);
    // Zeros in the padding count, so the average times α is α/size times the sum.
    const window = { kernel: [size, 1], strides: [1, 1], dilations: [1, 1], pads: [before, 0, size - 1 - before, 0] };
    const average = g.reshape(g.averagePool(rows, window), X.shape);
    const base = g.add(g.mul(average, at.float('alpha', 1e-4)), at.float('bias', 1));
    return [g.div(X, g.binary('Pow', base, at.float('beta', 0.75)))];
  },
};
