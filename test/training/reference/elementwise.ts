import type { Array64, Forward, Options } from './arrays';
import { broadcast, build, number, sigmoid, softplus, stretch, sum } from './arrays';

/** Abramowitz and Stegun's series and continued fraction: exact to double precision. */
export function erf(x: number): number {
  const z = Math.abs(x);
  if (z > 6) return Math.sign(x);
  if (z < 2.5) {
    let [sum, term] = [z, z];
    for (let n = 1; n < 200; n++) {
      term *= (-z * z) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let k = 120; k > 0; k--) fraction = k / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / (Math.sqrt(Math.PI) * (z + fraction)));
}

const map =
  (f: (x: number, options: Options) => number): Forward =>
  ([X], options) => [{ shape: X!.shape, data: X!.data.map((x) => f(x, options)) }];
const pointwise =
  (f: (...values: number[]) => number): Forward =>
  (inputs) => {
    const all = inputs as Array64[];
    return [build(broadcast(...all.map(({ shape }) => shape)), (index) => f(...all.map((x) => stretch(x, index))))];
  };
const clip = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high);

export const elementwise: Record<string, Forward> = {
  Identity: map((x) => x),
  Cast: map((x) => x),
  Neg: map((x) => -x),
  Exp: map(Math.exp),
  Log: map(Math.log),
  Sqrt: map(Math.sqrt),
  Abs: map(Math.abs),
  Reciprocal: map((x) => 1 / x),
  Sin: map(Math.sin),
  Cos: map(Math.cos),
  Tan: map(Math.tan),
  Sinh: map(Math.sinh),
  Cosh: map(Math.cosh),
  Asin: map(Math.asin),
  Acos: map(Math.acos),
  Atan: map(Math.atan),
  Asinh: map(Math.asinh),
  Acosh: map(Math.acosh),
  Atanh: map(Math.atanh),
  Erf: map(erf),
  ThresholdedRelu: map((x, { alpha }) => (x > number(alpha, 1) ? x : 0)),
  Shrink: map((x, { lambd, bias }) => (x > number(lambd, 0.5) ? x - number(bias, 0) : x < -number(lambd, 0.5) ? x + number(bias, 0) : 0)),
  Swish: map((x, { alpha }) => x * sigmoid(number(alpha, 1) * x)),
  CastLike: map((x) => x),
  Mod: pointwise((a, b) => a! % b!),
  Relu: map((x) => Math.max(x, 0)),
  LeakyRelu: map((x, { alpha }) => (x > 0 ? x : number(alpha, 0.01) * x)),
  Elu: map((x, { alpha }) => (x > 0 ? x : number(alpha, 1) * Math.expm1(x))),
  Celu: map((x, { alpha }) => Math.max(0, x) + Math.min(0, number(alpha, 1) * Math.expm1(x / number(alpha, 1)))),
  Selu: map((x, { alpha, gamma }) => number(gamma, 1.0507009873554805) * (x > 0 ? x : number(alpha, 1.6732632423543772) * Math.expm1(x))),
  Gelu: map((x, { approximate }) =>
    approximate === 'tanh' ? 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))) : 0.5 * x * (1 + erf(x / Math.SQRT2)),
  ),
  Sigmoid: map(sigmoid),
  Tanh: map(Math.tanh),
  Softplus: map(softplus),
  Softsign: map((x) => x / (1 + Math.abs(x))),
  HardSigmoid: map((x, { alpha, beta }) => clip(number(alpha, 0.2) * x + number(beta, 0.5), 0, 1)),
  HardSwish: map((x) => x * clip(x / 6 + 0.5, 0, 1)),
  Mish: map((x) => x * Math.tanh(softplus(x))),
  Clip: ([X, low, high]) => [{ shape: X!.shape, data: X!.data.map((x) => clip(x, low?.data[0] ?? -Infinity, high?.data[0] ?? Infinity)) }],
  PRelu: pointwise((x, slope) => (x! > 0 ? x! : x! * slope!)),
  Add: pointwise((a, b) => a! + b!),
  Sub: pointwise((a, b) => a! - b!),
  Mul: pointwise((a, b) => a! * b!),
  Div: pointwise((a, b) => a! / b!),
  Pow: pointwise((a, b) => a! ** b!),
  Min: pointwise(Math.min),
  Max: pointwise(Math.max),
  Sum: pointwise((...values) => sum(values)),
  Mean: pointwise((...values) => sum(values) / values.length),
  Where: pointwise((condition, a, b) => (condition ? a! : b!)),
};
