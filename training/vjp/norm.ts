import { sizeOf } from '../onnx/graph';
import type { GraphWriter } from '../graph-writer';
import type { Value } from '../shapes';
import { axisOf } from '../shapes';
import type { At, Rule } from './rule';
import { row } from './rule';

/** dX of x̂ = (x - mean) · inv over `axes`, from dx̂:  inv (dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂)). */
function normalised(g: GraphWriter, dHat: Value, hat: Value, inv: Value, axes: readonly number[]): Value {
  const centred = g.sub(dHat, g.mean(dHat, axes, true));
  return g.mul(inv, g.sub(centred, g.mul(hat, g.mean(g.mul(dHat, hat), axes, true))));
}

/** Normalises groups of axes of a tensor that has `shape`, then scales: the common form of instance and group norm. */
function grouped(g: GraphWriter, X: Value, shape: readonly number[], epsilon: number) {
  const view = g.reshape(X, shape);
  const axes = shape.flatMap((_, i) => (i < 2 ? [] : [i]));
  const centred = g.sub(view, g.mean(view, axes, true));
  const inv = g.unary('Reciprocal', g.unary('Sqrt', g.add(g.mean(g.square(centred), axes, true), epsilon)));
  return { hat: g.mul(centred, inv), inv, axes };
}

const perChannel = (vector: Value, rank: number): number[] => [1, vector.shape[0] ?? 1, ...new Array<number>(rank - 2).fill(1)];
const otherAxes = (rank: number): number[] => Array.from({ length: rank }, (_, i) => i).filter((i) => i !== 1);

/** Instance norm is group norm with a group a channel. `groupsOf`: how many groups the channels fall into. */
const groupNorm = (groupsOf: (X: Value, at: At) => number): Rule =>
  row(['input', 'scale', 'B'], {
    shape: ({ input, scale }, at) => {
      if (scale.shape[0] !== input.shape[1])
        throw at.refuse(`a scale for each of ${scale.shape[0]} groups`, 'a scale for each channel, as from opset 21 on');
      return input.shape;
    },
    gradient: ({ input: X, scale }, dY, g, at) => {
      const groups = groupsOf(X, at);
      const shape = [X.shape[0] ?? 1, groups, (X.shape[1] ?? 1) / groups, ...X.shape.slice(2)];
      const parts = () => grouped(g, X, shape, at.float('epsilon', 1e-5));
      return {
        input: () => {
          const { hat, inv, axes } = parts();
          const dHat = g.reshape(g.mul(dY, g.reshape(scale, perChannel(scale, X.shape.length))), shape);
          return g.reshape(normalised(g, dHat, hat, inv, axes), X.shape);
        },
        scale: () => g.sum(g.mul(dY, g.reshape(parts().hat, X.shape)), otherAxes(X.shape.length)),
        B: () => g.sum(dY, otherAxes(X.shape.length)),
      };
    },
  });

export const normRules: Record<string, Rule> = {
  /**
   * Training mode over the micro-batch, momentum 0, so that outputs 1 and 2 are the batch's mean and biased variance.
   *   dx̂ = dY γ   dX as above over all axes but the channel   dγ = Σ dY x̂   dβ = Σ dY
   * Without training_mode the statistics are constants: dX = dY γ inv.
   * Source: ONNX BatchNormalization-15; Ioffe & Szegedy 2015.
   */
  BatchNormalization: row(['X', 'scale', 'B', 'mean', 'var'], {
    shape: ({ X, mean }) => [X, { shape: mean.shape, type: X.type }, { shape: mean.shape, type: X.type }],
    gradient: ({ X, scale, mean, var: variance }, dY, g, at) => {
      const axes = otherAxes(X.shape.length);
      const along = (vector: Value) => g.reshape(vector, perChannel(vector, X.shape.length));
      const count = sizeOf(X.shape) / (X.shape[1] ?? 1);
      // Over fixed statistics it is a scale and a shift.
      if (at.int('training_mode', 0) === 0) {
        const inverse = () => g.unary('Reciprocal', g.unary('Sqrt', g.add(variance, at.float('epsilon', 1e-5))));
        return {
          scale: () => g.mul(g.sum(g.mul(dY, g.sub(X, along(mean))), axes), inverse()),
          B: () => g.sum(dY, axes),
          X: () => g.mul(dY, along(g.mul(scale, inverse()))),
        };
      }
      const inv = () => g.unary('Reciprocal', g.unary('Sqrt', g.add(at.output(2), at.float('epsilon', 1e-5))));
      // The gradients share their sums: what is written once here is used by all three.
      let shared: { centred: Value; inv: Value; dBeta: Value; dGamma: Value } | undefined;
      const sums = () => {
        if (shared) return shared;
        const centred = g.sub(X, along(at.output(1)));
        const inverse = inv();
        return (shared = { centred, inv: inverse, dBeta: g.sum(dY, axes), dGamma: g.mul(g.sum(g.mul(dY, centred), axes), inverse) });
      };
      return {
        scale: () => sums().dGamma,
        B: () => sums().dBeta,
        // dX = a dY + b (x - mean) + c, with one number a channel each: three passes over the tensor.
        X: () => {
          const { centred, inv: inverse, dBeta, dGamma } = sums();
          const a = g.mul(scale, inverse);
          const b = g.neg(g.mul(g.mul(a, inverse), g.mul(dGamma, 1 / count)));
          const c = g.neg(g.mul(a, g.mul(dBeta, 1 / count)));
          return g.add(g.mul(dY, along(a)), g.add(g.mul(centred, along(b)), along(c)));
        },
      };
    },
  }),

  /** Over the axes from `axis` on; dγ and dβ are summed over the others. Source: ONNX LayerNormalization-17; Ba et al. 2016. */
  LayerNormalization: row(['X', 'Scale', 'B?'], {
    shape: ({ X }, at) => {
      const axis = axisOf(at.int('axis', -1), X.shape.length);
      const outer = X.shape.map((size, i) => (i < axis ? size : 1));
      return [X, { shape: outer, type: X.type }, { shape: outer, type: X.type }];
    },
    gradient: ({ X, Scale, B }, dY, g, at) => {
      const axis = axisOf(at.int('axis', -1), X.shape.length);
      const axes = X.shape.flatMap((_, i) => (i < axis ? [] : [i]));
      let shared: Value | undefined;
      const hat = () => (shared ??= g.mul(g.sub(X, at.output(1)), at.output(2)));
      return {
        X: () => normalised(g, g.mul(dY, Scale), hat(), at.output(2), axes),
        Scale: () => g.sumTo(g.mul(dY, hat()), Scale.shape),
        B: B && (() => g.sumTo(dY, B.shape)),
      };
    },
  }),
  InstanceNormalization: groupNorm((X) => X.shape[1] ?? 1),
  /** With one scale a channel, as from opset 21 on. */
  GroupNormalization: groupNorm((_, at) => at.int('num_groups', 1)),
};
