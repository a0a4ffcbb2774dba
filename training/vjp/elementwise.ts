import type { GraphWriter } from '../graph-writer';
import type { ElementType } from '../onnx/graph';
import type { Value } from '../shapes';
import { broadcast } from '../shapes';
import type { At, Rule } from './rule';
import { elementType, listRow, row } from './rule';

/** y = f(x) element by element: says dX from X, Y and dY. Source of each formula: calculus, unless said. */
const unary = (dX: (v: { X: Value; Y: Value; dY: Value; g: GraphWriter; at: At }) => Value): Rule =>
  row(['X'], { shape: ({ X }) => X.shape, gradient: ({ X }, dY, g, at) => ({ X: () => dX({ X, Y: at.Y, dY, g, at }) }) });

/** Piecewise constant: no gradient, on purpose. */
const step = (type?: ElementType): Rule => row(['X'], { shape: ({ X }) => ({ shape: X.shape, type: type ?? X.type }), gradient: 'zero' });
const comparison: Rule = row(['A', 'B'], { shape: ({ A, B }) => ({ shape: broadcast(A.shape, B.shape), type: 'bool' }), gradient: 'zero' });

/** y = a ∘ b with broadcasting: says the gradients at Y's shape; they are summed back to the operands'. */
const binary = (grads: (v: { A: Value; B: Value; Y: Value; dY: Value; g: GraphWriter }) => { A: () => Value; B: () => Value }): Rule =>
  row(['A', 'B'], {
    shape: ({ A, B }) => broadcast(A.shape, B.shape),
    gradient: ({ A, B }, dY, g, { Y }) => {
      const full = grads({ A, B, Y, dY, g });
      return { A: () => g.sumTo(full.A(), A.shape), B: () => g.sumTo(full.B(), B.shape) };
    },
  });

const integers: Rule = row(['A', 'B'], { shape: ({ A, B }) => broadcast(A.shape, B.shape), gradient: 'zero' });

const whole = (inputs: readonly Value[]): number[] => broadcast(...inputs.map(({ shape }) => shape));

/** Y = the extreme of all inputs. Where inputs tie, each gets an equal share (as torch.maximum). */
const extreme: Rule = listRow({
  shape: whole,
  gradient: (inputs, dY, g, { Y }) => {
    if (inputs.length === 1) return [() => dY];
    const masks = inputs.map((input) => g.mask(g.compare('Equal', input, Y)));
    const share = g.div(dY, masks.reduce(g.add));
    return inputs.map((input, i) => () => g.sumTo(g.mul(share, masks[i] as Value), input.shape));
  },
});

const SELU_ALPHA = 1.6732632423543772;
const SELU_GAMMA = 1.0507009873554805;
const ROOT_2_OVER_PI = Math.sqrt(2 / Math.PI);

export const elementwiseRules: Record<string, Rule> = {
  Identity: unary(({ dY }) => dY),
  Neg: unary(({ dY, g }) => g.neg(dY)),
  Exp: unary(({ Y, dY, g }) => g.mul(dY, Y)),
  Log: unary(({ X, dY, g }) => g.div(dY, X)),
  Sqrt: unary(({ Y, dY, g }) => g.div(g.mul(dY, 0.5), Y)),
  Abs: unary(({ X, dY, g }) => g.mul(dY, g.unary('Sign', X))),
  Reciprocal: unary(({ Y, dY, g }) => g.neg(g.mul(dY, g.square(Y)))),
  Sin: unary(({ X, dY, g }) => g.mul(dY, g.unary('Cos', X))),
  Cos: unary(({ X, dY, g }) => g.neg(g.mul(dY, g.unary('Sin', X)))),
  Tan: unary(({ Y, dY, g }) => g.mul(dY, g.add(g.square(Y), 1))),
  Sinh: unary(({ X, dY, g }) => g.mul(dY, g.unary('Cosh', X))),
  Cosh: unary(({ X, dY, g }) => g.mul(dY, g.unary('Sinh', X))),
  Asin: unary(({ X, dY, g }) => g.div(dY, g.unary('Sqrt', g.sub(1, g.square(X))))),
  Acos: unary(({ X, dY, g }) => g.neg(g.div(dY, g.unary('Sqrt', g.sub(1, g.square(X)))))),
  Atan: unary(({ X, dY, g }) => g.div(dY, g.add(g.square(X), 1))),
  Asinh: unary(({ X, dY, g }) => g.div(dY, g.unary('Sqrt', g.add(g.square(X), 1)))),
  Acosh: unary(({ X, dY, g }) => g.div(dY, g.unary('Sqrt', g.sub(g.square(X), 1)))),
  Atanh: unary(({ X, dY, g }) => g.div(dY, g.sub(1, g.square(X)))),
  Erf: unary(({ X, dY, g }) => g.mul(dY, g.mul(g.unary('Exp', g.neg(g.square(X))), 2 / Math.sqrt(Math.PI)))),

  /** A product with a mask: ONNX Runtime's Where takes twice as long. */
  Relu: unary(({ Y, dY, g }) => g.mul(dY, g.mask(g.compare('Greater', Y, 0), dY.type))),
  LeakyRelu: unary(({ X, dY, g, at }) => g.where(g.compare('Greater', X, 0), dY, g.mul(dY, at.float('alpha', 0.01)))),
  Elu: unary(({ X, Y, dY, g, at }) => g.where(g.compare('Greater', X, 0), dY, g.mul(dY, g.add(Y, at.float('alpha', 1))))),
  Celu: unary(({ X, Y, dY, g, at }) => g.where(g.compare('Greater', X, 0), dY, g.mul(dY, g.add(g.div(Y, at.float('alpha', 1)), 1)))),
  /** γ x above 0, γ α (eˣ - 1) below, where the slope is Y + γ α. */
  Selu: unary(({ X, Y, dY, g, at }) => {
    const [alpha, gamma] = [at.float('alpha', SELU_ALPHA), at.float('gamma', SELU_GAMMA)];
    return g.mul(dY, g.where(g.compare('Greater', X, 0), gamma, g.add(Y, gamma * alpha)));
  }),
  /** x Φ(x): slope Φ + x φ. In the tanh form Φ = (1 + tanh u) / 2 with u = √(2/π) (x + 0.044715 x³). */
  Gelu: unary(({ X, dY, g, at }) => {
    if (at.text('approximate', 'none') === 'none') {
      const cdf = g.mul(g.add(g.unary('Erf', g.mul(X, Math.SQRT1_2)), 1), 0.5);
      const density = g.mul(g.unary('Exp', g.mul(g.square(X), -0.5)), 1 / Math.sqrt(2 * Math.PI));
      return g.mul(dY, g.add(cdf, g.mul(X, density)));
    }
    const squared = g.square(X);
    const t = g.unary('Tanh', g.mul(g.mul(X, g.add(g.mul(squared, 0.044715), 1)), ROOT_2_OVER_PI));
    const slopeOfU = g.mul(g.add(g.mul(squared, 3 * 0.044715), 1), ROOT_2_OVER_PI);
    const inner = g.mul(g.mul(X, g.sub(1, g.square(t))), slopeOfU);
    return g.mul(dY, g.mul(g.add(g.add(t, 1), inner), 0.5));
  }),
  Sigmoid: unary(({ Y, dY, g }) => g.mul(dY, g.mul(Y, g.sub(1, Y)))),
  Tanh: unary(({ Y, dY, g }) => g.mul(dY, g.sub(1, g.square(Y)))),
  Softplus: unary(({ X, dY, g }) => g.mul(dY, g.unary('Sigmoid', X))),
  Softsign: unary(({ X, dY, g }) => g.div(dY, g.square(g.add(g.unary('Abs', X), 1)))),
  /** clip(α x + β, 0, 1): the slope is α strictly inside. */
  HardSigmoid: unary(({ Y, dY, g, at }) => {
    const inside = g.mul(g.mask(g.compare('Greater', Y, 0)), g.mask(g.compare('Less', Y, 1)));
    return g.mul(g.mul(dY, at.float('alpha', 0.2)), inside);
  }),
  /** x clip(x/6 + 1/2, 0, 1): slope 0 below -3, 1 above 3, x/3 + 1/2 between. */
  HardSwish: unary(({ X, dY, g }) =>
    g.mul(dY, g.where(g.compare('Greater', X, 3), 1, g.where(g.compare('Less', X, -3), 0, g.add(g.mul(X, 1 / 3), 0.5)))),
  ),
  /** x t with t = tanh(softplus x): slope t + x (1 - t²) σ(x). */
  Mish: unary(({ X, dY, g }) => {
    const t = g.unary('Tanh', g.unary('Softplus', X));
    return g.mul(dY, g.add(t, g.mul(g.mul(X, g.unary('Sigmoid', X)), g.sub(1, g.square(t)))));
  }),
  /** x above α, 0 below. */
  ThresholdedRelu: unary(({ X, dY, g, at }) => g.where(g.compare('Greater', X, at.float('alpha', 1)), dY, 0)),
  /** x moved towards 0 outside [-λ, λ], 0 inside. */
  Shrink: unary(({ X, dY, g, at }) => g.where(g.compare('Greater', g.unary('Abs', X), at.float('lambd', 0.5)), dY, 0)),
  /** Slope 1 on the closed interval, as torch.clamp. */
  Clip: row(['X', 'min?', 'max?'], {
    shape: ({ X }) => X.shape,
    gradient: ({ X, min, max }, dY, g) => ({
      X: () => {
        const above = min && g.where(g.compare('GreaterOrEqual', X, min), dY, 0);
        return max ? g.where(g.compare('LessOrEqual', X, max), above ?? dY, 0) : (above ?? dY);
      },
    }),
  }),
  /** x above 0, slope x below; the slope broadcasts to X. */
  PRelu: row(['X', 'slope'], {
    shape: ({ X }) => X.shape,
    gradient: ({ X, slope }, dY, g) => ({
      X: () => g.where(g.compare('Greater', X, 0), dY, g.mul(dY, slope)),
      slope: () => g.sumTo(g.where(g.compare('Greater', X, 0), 0, g.mul(dY, X)), slope.shape),
    }),
  }),

  Add: binary(({ dY }) => ({ A: () => dY, B: () => dY })),
  Sub: binary(({ dY, g }) => ({ A: () => dY, B: () => g.neg(dY) })),
  Mul: binary(({ A, B, dY, g }) => ({ A: () => g.mul(dY, B), B: () => g.mul(dY, A) })),
  Div: binary(({ B, Y, dY, g }) => ({ A: () => g.div(dY, B), B: () => g.neg(g.div(g.mul(dY, Y), B)) })),
  /** dA = dY b a^(b-1)   dB = dY y ln a, and 0 where a is 0 (as torch.pow). The exponent may be an integer, which has none. */
  Pow: row(['X', 'Y'], {
    shape: ({ X, Y }) => broadcast(X.shape, Y.shape),
    gradient: ({ X: A, Y: B }, dY, g, at) => ({
      X: () => {
        const power = B.constant?.data.length === 1 ? Number(B.constant.data[0]) : undefined;
        if (power === 2) return g.sumTo(g.mul(g.mul(dY, 2), A), A.shape);
        const b = g.cast(B, A.type);
        return g.sumTo(g.mul(dY, g.mul(b, g.binary('Pow', A, g.sub(b, 1)))), A.shape);
      },
      Y: B.type === A.type ? () => g.sumTo(g.mul(dY, g.where(g.compare('Equal', A, 0), 0, g.mul(at.Y, g.unary('Log', A)))), B.shape) : undefined,
    }),
  }),
  /** a - b trunc(a / b) of floats (fmod 1); of integers it has no gradient. */
  Mod: row(['A', 'B'], {
    shape: ({ A, B }) => broadcast(A.shape, B.shape),
    gradient: ({ A, B }, dY, g) => ({
      A: () => g.sumTo(dY, A.shape),
      B: () => {
        const quotient = g.div(A, B);
        const whole = g.mul(g.unary('Sign', quotient), g.unary('Floor', g.unary('Abs', quotient)));
        return g.sumTo(g.neg(g.mul(dY, whole)), B.shape);
      },
    }),
  }),
  Min: extreme,
  Max: extreme,
  Sum: listRow({ shape: whole, gradient: (inputs, dY, g) => inputs.map((input) => () => g.sumTo(dY, input.shape)) }),
  Mean: listRow({ shape: whole, gradient: (inputs, dY, g) => inputs.map((input) => () => g.sumTo(g.mul(dY, 1 / inputs.length), input.shape)) }),
  Where: row(['condition', 'X', 'Y'], {
    shape: ({ condition, X, Y }) => ({ shape: broadcast(condition.shape, X.shape, Y.shape), type: X.type }),
    gradient: ({ condition, X, Y }, dY, g) => ({
      X: () => g.sumTo(g.where(condition, dY, 0), X.shape),
      Y: () => g.sumTo(g.where(condition, 0, dY), Y.shape),
    }),
  }),
  Cast: row(['input'], {
    shape: ({ input }, at) => ({ shape: input.shape, type: elementType(at.int('to', 1), at) }),
    gradient: ({ input }, dY, g) => ({ input: () => g.cast(dY, input.type) }),
  }),

  Floor: step(),
  Ceil: step(),
  Round: step(),
  Sign: step(),
  Hardmax: step(),
  BitwiseNot: step(),
  Not: step('bool'),
  IsNaN: step('bool'),
  IsInf: step('bool'),
  Equal: comparison,
  Less: comparison,
  Greater: comparison,
  LessOrEqual: comparison,
  GreaterOrEqual: comparison,
  And: comparison,
  Or: comparison,
  Xor: comparison,
  BitwiseAnd: integers,
  BitwiseOr: integers,
  BitwiseXor: integers,
  BitShift: integers,
};
