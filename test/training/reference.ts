/**
 * The yardstick: forward operators in float64, written plainly from the ONNX specification and independent of
 * `training/`. Central differences of it are what every derivative rule must agree with.
 */
export interface Array64 {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}
export interface Options {
  readonly [name: string]: number | readonly number[] | string | undefined;
}
type Forward = (inputs: readonly (Array64 | undefined)[], options: Options) => Array64[];

const size = (shape: readonly number[]): number => shape.reduce((product, axis) => product * axis, 1);
const strides = (shape: readonly number[]): number[] => shape.map((_, i) => size(shape.slice(i + 1)));
const indexOf = (flat: number, shape: readonly number[]): number[] => {
  const by = strides(shape);
  return shape.map((axis, i) => Math.floor(flat / by[i]!) % axis);
};
const flatOf = (index: readonly number[], shape: readonly number[]): number => {
  const by = strides(shape);
  return index.reduce((sum, value, i) => sum + value * by[i]!, 0);
};
const build = (shape: readonly number[], at: (index: number[]) => number): Array64 => ({
  shape,
  data: Array.from({ length: size(shape) }, (_, flat) => at(indexOf(flat, shape))),
});
const at = (x: Array64, index: readonly number[]): number => x.data[flatOf(index, x.shape)]!;
const stretch = (x: Array64, index: readonly number[]): number =>
  at(
    x,
    x.shape.map((axis, i) => (axis === 1 ? 0 : index[index.length - x.shape.length + i]!)),
  );
const broadcast = (...shapes: (readonly number[])[]): number[] => {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, i) => Math.max(...shapes.map((shape) => shape[i - rank + shape.length] ?? 1)));
};
const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

const list = (value: Options[string], fallback: readonly number[]): readonly number[] => (Array.isArray(value) ? (value as number[]) : fallback);
const number = (value: Options[string], fallback: number): number => (typeof value === 'number' ? value : fallback);

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

function groups(X: Array64, axes: readonly number[]): { key: number[]; values: number[] }[] {
  const kept = X.shape.map((axis, i) => (axes.includes(i) ? 1 : axis));
  const found = Array.from({ length: size(kept) }, (_, flat) => ({ key: indexOf(flat, kept), values: [] as number[] }));
  X.data.forEach((value, flat) => {
    const index = indexOf(flat, X.shape).map((part, i) => (axes.includes(i) ? 0 : part));
    found[flatOf(index, kept)]!.values.push(value);
  });
  return found;
}
const reduce =
  (f: (values: number[]) => number): Forward =>
  ([X, axesInput], options) => {
    const rank = X!.shape.length;
    const axes = (axesInput?.data ?? list(options.axes, [...X!.shape.keys()])).map((axis) => axisOf(axis, rank));
    const keep = number(options.keepdims, 1) === 1;
    const shape = keep ? X!.shape.map((axis, i) => (axes.includes(i) ? 1 : axis)) : X!.shape.filter((_, i) => !axes.includes(i));
    return [{ shape, data: groups(X!, axes).map(({ values }) => f(values)) }];
  };
const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const logSumExp = (values: readonly number[]) => {
  const top = Math.max(...values);
  return top + Math.log(sum(values.map((value) => Math.exp(value - top))));
};

/** Takes the log-sum-exp along one axis away from each element. */
const logSoftmax = (X: Array64, options: Options): Array64 => {
  const axis = axisOf(number(options.axis, -1), X.shape.length);
  const kept = X.shape.with(axis, 1);
  const totals = groups(X, [axis]).map(({ values }) => logSumExp(values));
  return build(X.shape, (index) => at(X, index) - totals[flatOf(index.with(axis, 0), kept)]!);
};

/** Normalises over `axes` with the biased variance. */
function normalise(X: Array64, axes: readonly number[], epsilon: number): Array64 {
  const kept = X.shape.map((axis, i) => (axes.includes(i) ? 1 : axis));
  const stats = groups(X, axes).map(({ values }) => {
    const mean = sum(values) / values.length;
    return { mean, inv: 1 / Math.sqrt(sum(values.map((value) => (value - mean) ** 2)) / values.length + epsilon) };
  });
  return build(X.shape, (index) => {
    const { mean, inv } =
      stats[
        flatOf(
          index.map((part, i) => (axes.includes(i) ? 0 : part)),
          kept,
        )
      ]!;
    return (at(X, index) - mean) * inv;
  });
}
const channelAffine = (hat: Array64, scale: Array64, bias: Array64): Array64 =>
  build(hat.shape, (index) => at(hat, index) * scale.data[index[1]!]! + bias.data[index[1]!]!);

interface Window {
  kernel: readonly number[];
  strides: readonly number[];
  dilations: readonly number[];
  pads: readonly number[];
}
const windowOf = (options: Options, kernel: readonly number[]): Window => ({
  kernel,
  strides: list(
    options.strides,
    kernel.map(() => 1),
  ),
  dilations: list(
    options.dilations,
    kernel.map(() => 1),
  ),
  pads: list(
    options.pads,
    [...kernel, ...kernel].map(() => 0),
  ),
});
function outputSpatial(spatial: readonly number[], { kernel, strides: by, dilations, pads }: Window, ceil = false): number[] {
  return spatial.map((axis, i) => {
    const free = axis + pads[i]! + pads[i + spatial.length]! - (kernel[i]! - 1) * dilations[i]! - 1;
    const out = (ceil ? Math.ceil(free / by[i]!) : Math.floor(free / by[i]!)) + 1;
    return ceil && (out - 1) * by[i]! >= axis + pads[i]! ? out - 1 : out;
  });
}
/** Calls `visit` with each tap's input position for one output position; positions in the padding too. */
function taps(out: readonly number[], { kernel, strides: by, dilations, pads }: Window, visit: (tap: number[], position: number[]) => void): void {
  for (let flat = 0; flat < size(kernel); flat++) {
    const tap = indexOf(flat, kernel);
    visit(
      tap,
      tap.map((k, i) => out[i]! * by[i]! + k * dilations[i]! - pads[i]!),
    );
  }
}
const inside = (position: readonly number[], spatial: readonly number[]) => position.every((value, i) => value >= 0 && value < spatial[i]!);

const pool =
  (f: (values: number[], count: number) => number): Forward =>
  ([X], options) => {
    const window = windowOf(options, list(options.kernel_shape, []));
    const spatial = X!.shape.slice(2);
    const shape = [...X!.shape.slice(0, 2), ...outputSpatial(spatial, window, number(options.ceil_mode, 0) === 1)];
    return [
      build(shape, ([n, c, ...out]) => {
        const values: number[] = [];
        let padded = 0;
        taps(out, window, (_, position) => {
          if (inside(position, spatial)) values.push(at(X!, [n!, c!, ...position]));
          const within = position.every((value, i) => value >= -window.pads[i]! && value < spatial[i]! + window.pads[i + spatial.length]!);
          if (within) padded++;
        });
        return f(values, number(options.count_include_pad, 0) === 1 ? padded : values.length);
      }),
    ];
  };

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const clip = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high);

const moved =
  (shapeOf: (X: Array64, second: Array64 | undefined, options: Options) => number[]): Forward =>
  ([X, second], options) => [{ shape: shapeOf(X!, second, options), data: X!.data }];

export const reference: Record<string, Forward> = {
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
  Erf: map(erf),
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

  ReduceSum: reduce(sum),
  ReduceMean: reduce((values) => sum(values) / values.length),
  ReduceMax: reduce((values) => Math.max(...values)),
  ReduceMin: reduce((values) => Math.min(...values)),
  ReduceSumSquare: reduce((values) => sum(values.map((value) => value ** 2))),
  ReduceL1: reduce((values) => sum(values.map(Math.abs))),
  ReduceL2: reduce((values) => Math.hypot(...values)),
  ReduceLogSum: reduce((values) => Math.log(sum(values))),
  ReduceLogSumExp: reduce(logSumExp),
  LogSoftmax: ([X], options) => [logSoftmax(X!, options)],
  Softmax: ([X], options) => {
    const { shape, data } = logSoftmax(X!, options);
    return [{ shape, data: data.map(Math.exp) }];
  },

  Reshape: moved((X, shape) => {
    const wanted = shape!.data.map((axis, i) => (axis === 0 ? X.shape[i]! : axis));
    return wanted.map((axis) => (axis === -1 ? -X.data.length / size(wanted) : axis));
  }),
  Flatten: moved((X, _, { axis }) => [size(X.shape.slice(0, number(axis, 1))), size(X.shape.slice(number(axis, 1)))]),
  Squeeze: moved((X, axes) => X.shape.filter((axis, i) => (axes ? !axes.data.map((a) => axisOf(a, X.shape.length)).includes(i) : axis !== 1))),
  Unsqueeze: moved((X, axes) => {
    const rank = X.shape.length + axes!.data.length;
    const added = axes!.data.map((axis) => axisOf(axis, rank));
    const rest = [...X.shape];
    return Array.from({ length: rank }, (_, i) => (added.includes(i) ? 1 : rest.shift()!));
  }),
  Transpose: ([X], { perm }) => {
    const order = list(perm, [...X!.shape.keys()].reverse());
    const shape = order.map((axis) => X!.shape[axis]!);
    return [
      build(shape, (index) =>
        at(
          X!,
          order.map((_, i) => index[order.indexOf(i)]!),
        ),
      ),
    ];
  },
  Expand: ([X, shape]) => [build(broadcast(X!.shape, shape!.data), (index) => stretch(X!, index))],
  Tile: ([X, repeats]) => [
    build(
      X!.shape.map((axis, i) => axis * repeats!.data[i]!),
      (index) =>
        at(
          X!,
          index.map((part, i) => part % X!.shape[i]!),
        ),
    ),
  ],
  Concat: (inputs, { axis }) => {
    const all = inputs as Array64[];
    const along = axisOf(number(axis, 0), all[0]!.shape.length);
    const shape = all[0]!.shape.with(along, sum(all.map((x) => x.shape[along]!)));
    return [
      build(shape, (index) => {
        let offset = index[along]!;
        for (const x of all) {
          if (offset < x.shape[along]!) return at(x, index.with(along, offset));
          offset -= x.shape[along]!;
        }
        return NaN;
      }),
    ];
  },
  Split: ([X, sizes], { axis, num_outputs }) => {
    const along = axisOf(number(axis, 0), X!.shape.length);
    const each = Math.ceil(X!.shape[along]! / number(num_outputs, 1));
    const parts = sizes?.data ?? Array.from({ length: number(num_outputs, 1) }, (_, i) => Math.min(each, X!.shape[along]! - i * each));
    let start = 0;
    return parts.map((length) => {
      const from = start;
      start += length;
      return build(X!.shape.with(along, length), (index) => at(X!, index.with(along, index[along]! + from)));
    });
  },
  Slice: ([X, starts, ends, axes, steps]) => {
    const bounds = X!.shape.map((axis) => ({ first: 0, by: 1, length: axis }));
    starts!.data.forEach((start, i) => {
      const axis = axisOf(axes?.data[i] ?? i, X!.shape.length);
      const extent = X!.shape[axis]!;
      const by = steps?.data[i] ?? 1;
      const chosen: number[] = [];
      const resolve = (value: number) => (value < 0 ? value + extent : value);
      const [from, to] = [resolve(start), resolve(ends!.data[i]!)];
      if (by > 0) for (let k = Math.max(from, 0); k < Math.min(to, extent); k += by) chosen.push(k);
      else for (let k = Math.min(from, extent - 1); k > Math.max(to, -1); k += by) chosen.push(k);
      bounds[axis] = { first: chosen[0] ?? 0, by, length: chosen.length };
    });
    return [
      build(
        bounds.map(({ length }) => length),
        (index) =>
          at(
            X!,
            index.map((part, i) => bounds[i]!.first + part * bounds[i]!.by),
          ),
      ),
    ];
  },
  Pad: ([X, pads]) => {
    const rank = X!.shape.length;
    return [
      build(
        X!.shape.map((axis, i) => axis + pads!.data[i]! + pads!.data[i + rank]!),
        (index) => {
          const position = index.map((part, i) => part - pads!.data[i]!);
          return inside(position, X!.shape) ? at(X!, position) : 0;
        },
      ),
    ];
  },
  Gather: ([X, indices], { axis }) => {
    const along = axisOf(number(axis, 0), X!.shape.length);
    const shape = [...X!.shape.slice(0, along), ...indices!.shape, ...X!.shape.slice(along + 1)];
    const rank = indices!.shape.length;
    return [
      build(shape, (index) => {
        const chosen = axisOf(at(indices!, index.slice(along, along + rank)), X!.shape[along]!);
        return at(X!, [...index.slice(0, along), chosen, ...index.slice(along + rank)]);
      }),
    ];
  },
  GatherElements: ([X, indices], { axis }) => {
    const along = axisOf(number(axis, 0), X!.shape.length);
    return [build(indices!.shape, (index) => at(X!, index.with(along, axisOf(at(indices!, index), X!.shape[along]!))))];
  },

  MatMul: ([A, B]) => {
    const [a, b] = [A!, B!];
    const shape = [...broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)), a.shape.at(-2)!, b.shape.at(-1)!];
    const matrix = (x: Array64, lead: readonly number[], i: number, j: number) => {
      const batch = x.shape.slice(0, -2).map((axis, k) => (axis === 1 ? 0 : lead[lead.length - x.shape.length + 2 + k]!));
      return at(x, [...batch, i, j]);
    };
    return [
      build(shape, (index) => {
        const lead = index.slice(0, -2);
        return sum(Array.from({ length: a.shape.at(-1)! }, (_, k) => matrix(a, lead, index.at(-2)!, k) * matrix(b, lead, k, index.at(-1)!)));
      }),
    ];
  },
  Gemm: ([A, B, C], { transA, transB, alpha, beta }) => {
    const a = (i: number, k: number) => at(A!, transA ? [k, i] : [i, k]);
    const b = (k: number, j: number) => at(B!, transB ? [j, k] : [k, j]);
    const inner = A!.shape[transA ? 0 : 1]!;
    const shape = [A!.shape[transA ? 1 : 0]!, B!.shape[transB ? 0 : 1]!];
    return [
      build(
        shape,
        (index) =>
          number(alpha, 1) * sum(Array.from({ length: inner }, (_, k) => a(index[0]!, k) * b(k, index[1]!))) +
          (C ? number(beta, 1) * stretch(C, index) : 0),
      ),
    ];
  },
  Conv: ([X, W, B], options) => {
    const window = windowOf(options, W!.shape.slice(2));
    const spatial = X!.shape.slice(2);
    const perGroup = W!.shape[1]!;
    const filters = W!.shape[0]! / number(options.group, 1);
    return [
      build([X!.shape[0]!, W!.shape[0]!, ...outputSpatial(spatial, window)], ([n, m, ...out]) => {
        let total = B?.data[m!] ?? 0;
        taps(out, window, (tap, position) => {
          if (!inside(position, spatial)) return;
          for (let c = 0; c < perGroup; c++) total += at(X!, [n!, Math.floor(m! / filters) * perGroup + c, ...position]) * at(W!, [m!, c, ...tap]);
        });
        return total;
      }),
    ];
  },
  ConvTranspose: ([X, W, B], options) => {
    const window = windowOf(options, W!.shape.slice(2));
    const { kernel, strides: by, dilations, pads } = window;
    const groupCount = number(options.group, 1);
    const [perGroup, inputs] = [W!.shape[1]!, W!.shape[0]! / groupCount];
    const extra = list(
      options.output_padding,
      kernel.map(() => 0),
    );
    const spatial = kernel.map(
      (k, i) => (X!.shape[i + 2]! - 1) * by[i]! + (k - 1) * dilations[i]! + 1 + extra[i]! - pads[i]! - pads[i + kernel.length]!,
    );
    const shape = [X!.shape[0]!, perGroup * groupCount, ...spatial];
    const data = new Array<number>(size(shape)).fill(0);
    X!.data.forEach((value, flat) => {
      const [n, c, ...from] = indexOf(flat, X!.shape);
      taps(from, window, (tap, position) => {
        if (!inside(position, spatial)) return;
        for (let m = 0; m < perGroup; m++)
          data[flatOf([n!, Math.floor(c! / inputs) * perGroup + m, ...position], shape)]! += value * at(W!, [c!, m, ...tap]);
      });
    });
    return [build(shape, (index) => data[flatOf(index, shape)]! + (B?.data[index[1]!] ?? 0))];
  },
  MaxPool: pool((values) => Math.max(...values)),
  AveragePool: pool((values, count) => sum(values) / count),
  GlobalAveragePool: ([X]) => reference.ReduceMean!([X], { axes: [...X!.shape.keys()].slice(2) }),
  GlobalMaxPool: ([X]) => reference.ReduceMax!([X], { axes: [...X!.shape.keys()].slice(2) }),

  BatchNormalization: ([X, scale, bias], { epsilon }) => {
    const axes = [...X!.shape.keys()].filter((axis) => axis !== 1);
    return [channelAffine(normalise(X!, axes, number(epsilon, 1e-5)), scale!, bias!)];
  },
  LayerNormalization: ([X, scale, bias], { axis, epsilon }) => {
    const from = axisOf(number(axis, -1), X!.shape.length);
    const hat = normalise(X!, [...X!.shape.keys()].slice(from), number(epsilon, 1e-5));
    return [build(X!.shape, (index) => at(hat, index) * stretch(scale!, index) + (bias ? stretch(bias, index) : 0))];
  },
  InstanceNormalization: ([X, scale, bias], { epsilon }) => [
    channelAffine(normalise(X!, [...X!.shape.keys()].slice(2), number(epsilon, 1e-5)), scale!, bias!),
  ],
  GroupNormalization: ([X, scale, bias], { epsilon, num_groups }) => {
    const [n, c, ...spatial] = X!.shape as [number, number, ...number[]];
    const shape = [n, number(num_groups, 1), c / number(num_groups, 1), ...spatial];
    const hat = normalise({ shape, data: X!.data }, [...shape.keys()].slice(2), number(epsilon, 1e-5));
    return [channelAffine({ shape: X!.shape, data: hat.data }, scale!, bias!)];
  },
};
