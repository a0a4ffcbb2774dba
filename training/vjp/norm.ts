import { sizeOf } from '../onnx/graph';
import type { GraphWriter } from '../graph-writer';
import type { Value } from '../shapes';
import { axisOf } from '../shapes';
import type { Rule } from './rule';
import { row } from './rule';

/** dX of x̂ = (x - mean) · inv over `axes`, from dx̂:  inv (dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂)). */
function normalised(g: GraphWriter, dHat: Value, hat: Value, inv: Value, axes: readonly number[]): Value {
  const centred = g.sub(dHat, g.mean(dHat, axes, true));
  return g.mul(inv, g.sub(centred, g.mul(hat, g.mean(g.mul(dHat, hat), axes, true))));
}

/** x̂ = (x - mean) · inv over `axes`, with the biased variance. */
function standardised(g: GraphWriter, X: Value, axes: readonly number[], epsilon: number): { hat: Value; inv: Value } {
  const centred = g.sub(X, g.mean(X, axes, true));
  const inv = g.unary('Reciprocal', g.unary('Sqrt', g.add(g.mean(g.square(centred), axes, true), epsilon)));
  return { hat: g.mul(centred, inv), inv };
}

const perChannel = (vector: Value, rank: number): number[] => [1, vector.shape[0] ?? 1, ...new Array<number>(rank - 2).fill(1)];
const otherAxes = (rank: number): number[] => Array.from({ length: rank }, (_, i) => i).filter((i) => i !== 1);

export const normRules: Record<string, Rule> = {
  /**
   * Training mode over the micro-batch, momentum 0, so that outputs 1 and 2 are the batch's mean and biased variance.
   *   dx̂ = dY γ   dX as above over all axes but the channel   dγ = Σ dY x̂   dβ = Σ dY
   * Without training_mode the statistics are inputs: dX = dY γ inv, dmean = -Σ dY γ inv, dvar = -½ γ inv³ Σ dY (X - mean).
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
          // Where they are computed from the samples, by layers that keep no running statistics.
          mean: () => g.neg(g.mul(g.sum(dY, axes), g.mul(scale, inverse()))),
          var: () => {
            const inv = inverse();
            const cubed = g.mul(inv, g.mul(inv, inv));
            return g.mul(g.sum(g.mul(dY, g.sub(X, along(mean))), axes), g.mul(g.mul(scale, cubed), -0.5));
          },
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
  /** Over the spatial axes, then a scale and a bias a channel. Source: ONNX InstanceNormalization-6; Ulyanov et al. 2016. */
  InstanceNormalization: row(['input', 'scale', 'B'], {
    shape: ({ input }) => input.shape,
    gradient: ({ input: X, scale }, dY, g, at) => {
      const axes = X.shape.flatMap((_, i) => (i < 2 ? [] : [i]));
      let shared: { hat: Value; inv: Value } | undefined;
      const parts = () => (shared ??= standardised(g, X, axes, at.float('epsilon', 1e-5)));
      return {
        input: () => normalised(g, g.mul(dY, g.reshape(scale, perChannel(scale, X.shape.length))), parts().hat, parts().inv, axes),
        scale: () => g.sum(g.mul(dY, parts().hat), otherAxes(X.shape.length)),
        B: () => g.sum(dY, otherAxes(X.shape.length)),
      };
    },
  }),
};
