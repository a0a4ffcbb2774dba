import type { GraphWriter } from '../graph-writer';
import type { Value } from '../shapes';
import { axisOf, reducedShape } from '../shapes';
import type { At, Rule } from './rule';
import { row } from './rule';

/** The axes that a reduction runs over: input, attribute (below opset 18), or all of them. */
function axesOf(X: Value, axes: Value | undefined, at: At): number[] {
  const listed = axes ? at.known(axes, 'axes') : at.ints('axes');
  if (listed?.length) return listed.map((axis) => axisOf(axis, X.shape.length));
  return at.int('noop_with_empty_axes', 0) ? [] : X.shape.map((_, i) => i);
}

interface Reduction {
  X: Value;
  /** Y and dY with the reduced axes kept as 1, so that they broadcast to X. */
  Y: Value;
  dY: Value;
  /** How many elements went into one. */
  count: number;
  g: GraphWriter;
}

/** The axes of a reduction node. */
export const reducedAxes = (at: At): number[] => axesOf(at.inputs[0] as Value, at.inputs[1], at);

/** Y = a reduction of X: says dX, of X's shape or broadcasting to it. */
const reduction = (dX: (v: Reduction) => Value): Rule =>
  row(['data', 'axes?'], {
    shape: ({ data, axes }, at) => reducedShape(data.shape, axesOf(data, axes, at), at.int('keepdims', 1) === 1),
    gradient: ({ data: X, axes }, dY, g, at) => ({
      data: () => {
        const kept = reducedShape(X.shape, axesOf(X, axes, at), true);
        const count = X.shape.reduce((product, axis, i) => (kept[i] === axis ? product : product * axis), 1);
        return g.expand(dX({ X, Y: g.reshape(at.Y, kept), dY: g.reshape(dY, kept), count, g }), X.shape);
      },
    }),
  });

/** Elements that tie for the extreme share the gradient (as torch.amax). */
const extreme = reduction(({ X, Y, dY, g }) => {
  const mask = g.mask(g.compare('Equal', X, Y), X.type);
  const axes = X.shape.flatMap((axis, i) => (Y.shape[i] === axis ? [] : [i]));
  return g.mul(mask, g.div(dY, g.sum(mask, axes, true)));
});

/** The product of the others: P / x; where one element is 0, only its own is not 0; where two are, none is. */
const productOfOthers = reduction(({ X, Y, dY, g }) => {
  const axes = X.shape.flatMap((axis, i) => (Y.shape[i] === axis ? [] : [i]));
  const isZero = g.compare('Equal', X, 0);
  const zeros = g.sum(g.mask(isZero, X.type), axes, true);
  const filled = g.where(isZero, 1, X);
  const product = g.product(filled, axes, true);
  const besideZero = g.where(isZero, product, 0);
  const others = g.where(g.compare('Equal', zeros, 0), g.div(product, filled), g.where(g.compare('Equal', zeros, 1), besideZero, 0));
  return g.mul(dY, others);
});

const arg: Rule = row(['data'], {
  shape: ({ data }, at) => ({
    shape: reducedShape(data.shape, [axisOf(at.int('axis', 0), data.shape.length)], at.int('keepdims', 1) === 1),
    type: 'int64',
  }),
  gradient: 'zero',
});

export const reduceRules: Record<string, Rule> = {
  ReduceSum: reduction(({ dY }) => dY),
  ReduceMean: reduction(({ dY, count, g }) => g.mul(dY, 1 / count)),
  ReduceProd: productOfOthers,
  ReduceMax: extreme,
  ReduceMin: extreme,
  ReduceSumSquare: reduction(({ X, dY, g }) => g.mul(g.mul(dY, 2), X)),
  ReduceL1: reduction(({ X, dY, g }) => g.mul(dY, g.unary('Sign', X))),
  /** x / ‖x‖, and 0 at 0 (as torch.linalg.norm). */
  ReduceL2: reduction(({ X, Y, dY, g }) => g.mul(X, g.where(g.compare('Equal', Y, 0), 0, g.div(dY, Y)))),
  ReduceLogSum: reduction(({ Y, dY, g }) => g.div(dY, g.unary('Exp', Y))),
  ReduceLogSumExp: reduction(({ X, Y, dY, g }) => g.mul(dY, g.unary('Exp', g.sub(X, Y)))),
  ArgMax: arg,
  ArgMin: arg,

  /** dX = Y (dY - Σ dY Y), the sum along the axis. Source: ONNX Softmax-13. */
  Softmax: row(['input'], {
    shape: ({ input }) => input.shape,
    gradient: ({ input }, dY, g, at) => ({
      input: () => g.mul(at.Y, g.sub(dY, g.sum(g.mul(dY, at.Y), [axisOf(at.int('axis', -1), input.shape.length)], true))),
    }),
  }),
  /** dX = dY - softmax(X) Σ dY, the sum along the axis. */
  LogSoftmax: row(['input'], {
    shape: ({ input }) => input.shape,
    gradient: ({ input }, dY, g, at) => ({
      input: () => g.sub(dY, g.mul(g.unary('Exp', at.Y), g.sum(dY, [axisOf(at.int('axis', -1), input.shape.length)], true))),
    }),
  }),
};
