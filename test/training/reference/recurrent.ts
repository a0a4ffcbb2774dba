import type { Array64, Forward, Options } from './arrays';
import { at, build, number, sigmoid, softplus, sum } from './arrays';

type Scalar = (x: number) => number;
const activation = (name: string, alpha: number | undefined, beta: number | undefined): Scalar => {
  const known: Record<string, Scalar> = {
    Sigmoid: sigmoid,
    Tanh: Math.tanh,
    Relu: (x) => Math.max(x, 0),
    Softsign: (x) => x / (1 + Math.abs(x)),
    Softplus: softplus,
    LeakyRelu: (x) => (x < 0 ? (alpha ?? 0.01) * x : x),
    Elu: (x) => (x < 0 ? (alpha ?? 1) * Math.expm1(x) : x),
    HardSigmoid: (x) => Math.min(1, Math.max(0, (alpha ?? 0.2) * x + (beta ?? 0.5))),
    Affine: (x) => (alpha ?? 1) * x + (beta ?? 0),
    ScaledTanh: (x) => (alpha ?? 1) * Math.tanh((beta ?? 1) * x),
  };
  return known[name]!;
};
const takesAlpha = ['LeakyRelu', 'Elu', 'HardSigmoid', 'Affine', 'ScaledTanh'];
const takesBeta = ['HardSigmoid', 'Affine', 'ScaledTanh'];

/** What one unit of one sample in one direction sees of a gate: W x, R h, and their biases. */
interface Gate {
  readonly x: number;
  readonly h: number;
  readonly xBias: number;
  readonly hBias: number;
}
interface Unit {
  readonly gate: (index: number, h?: readonly number[]) => Gate;
  readonly h: readonly number[];
  readonly c: number;
  readonly peephole: (index: number) => number;
  readonly f: readonly Scalar[];
  readonly clip: Scalar;
  readonly options: Options;
}
const total = ({ x, h, xBias, hBias }: Gate) => x + h + xBias + hBias;

/** Runs over directions, samples and steps one number at a time; `cell` gives a unit's new h and c. */
const recurrent =
  (gates: number, defaults: readonly string[], cell: (units: readonly Unit[], u: number) => { h: number; c: number }): Forward =>
  ([X, W, R, B, lengths, h0, c0, P], options) => {
    const batchFirst = options.layout === 1;
    const [steps, samples] = batchFirst ? [X!.shape[1]!, X!.shape[0]!] : [X!.shape[0]!, X!.shape[1]!];
    const [directions, hidden, width] = [W!.shape[0]!, R!.shape[2]!, W!.shape[2]!];
    const x = (t: number, n: number, i: number) => at(X!, batchFirst ? [n, t, i] : [t, n, i]);
    const initial = (from: Array64 | undefined, d: number, n: number, u: number) => (from ? at(from, batchFirst ? [n, d, u] : [d, n, u]) : 0);
    const names = (options.activations as readonly string[] | undefined) ?? Array.from({ length: directions }, () => defaults).flat();
    const alphas = [...((options.activation_alpha as number[] | undefined) ?? [])];
    const betas = [...((options.activation_beta as number[] | undefined) ?? [])];
    const functions = names.map((name) =>
      activation(name, takesAlpha.includes(name) ? alphas.shift() : undefined, takesBeta.includes(name) ? betas.shift() : undefined),
    );
    const bound = options.clip === undefined ? Infinity : (options.clip as number);
    const Y = new Map<string, number>();
    const last = { h: new Map<string, number>(), c: new Map<string, number>() };
    for (let d = 0; d < directions; d++)
      for (let n = 0; n < samples; n++) {
        const length = Math.min(lengths?.data[n] ?? steps, steps);
        let h = Array.from({ length: hidden }, (_, u) => initial(h0, d, n, u));
        let c = Array.from({ length: hidden }, (_, u) => initial(c0, d, n, u));
        const order = Array.from({ length }, (_, t) => t);
        if (options.direction === 'reverse' || d === 1) order.reverse();
        for (const t of order) {
          const before = h;
          const units = Array.from({ length: hidden }, (_, u): Unit => ({
            gate: (index, state = before) => {
              const row = index * hidden + u;
              return {
                x: sum(Array.from({ length: width }, (_v, i) => x(t, n, i) * at(W!, [d, row, i]))),
                h: sum(state.map((value, k) => value * at(R!, [d, row, k]))),
                xBias: B ? at(B, [d, row]) : 0,
                hBias: B ? at(B, [d, gates * hidden + row]) : 0,
              };
            },
            h: before,
            c: c[u]!,
            peephole: (index) => (P ? at(P, [d, index * hidden + u]) : 0),
            f: functions.slice(d * defaults.length, (d + 1) * defaults.length),
            clip: (value) => Math.min(bound, Math.max(-bound, value)),
            options,
          }));
          const after = units.map((_, u) => cell(units, u));
          h = after.map((unit) => unit.h);
          c = after.map((unit) => unit.c);
          h.forEach((value, u) => Y.set([t, d, n, u].join(), value));
        }
        h.forEach((value, u) => last.h.set([d, n, u].join(), value));
        c.forEach((value, u) => last.c.set([d, n, u].join(), value));
      }
    const outputs = batchFirst ? [samples, steps, directions, hidden] : [steps, directions, samples, hidden];
    const states = batchFirst ? [samples, directions, hidden] : [directions, samples, hidden];
    const read = (from: Map<string, number>) => build(states, ([a, b, u]) => from.get((batchFirst ? [b, a, u] : [a, b, u]).join())!);
    return [build(outputs, ([a, b, e, u]) => Y.get((batchFirst ? [b, e, a, u] : [a, b, e, u]).join()) ?? 0), read(last.h), read(last.c)];
  };

export const recurrent64: Record<string, Forward> = {
  RNN: recurrent(1, ['Tanh'], (units, u) => {
    const { gate, f, clip } = units[u]!;
    return { h: f[0]!(clip(total(gate(0)))), c: 0 };
  }),
  GRU: recurrent(3, ['Sigmoid', 'Tanh'], (units, u) => {
    const { gate, h, f, clip, options } = units[u]!;
    const reset = units.map((unit) => unit.f[0]!(unit.clip(total(unit.gate(1)))));
    const z = f[0]!(clip(total(gate(0))));
    const plain = gate(2);
    const candidate =
      number(options.linear_before_reset, 0) === 1
        ? plain.x + plain.xBias + reset[u]! * (plain.h + plain.hBias)
        : total(
            gate(
              2,
              h.map((value, k) => reset[k]! * value),
            ),
          );
    return { h: (1 - z) * f[1]!(clip(candidate)) + z * h[u]!, c: 0 };
  }),
  LSTM: recurrent(4, ['Sigmoid', 'Tanh', 'Tanh'], (units, u) => {
    const { gate, c, peephole, f, clip, options } = units[u]!;
    const i = f[0]!(clip(total(gate(0)) + peephole(0) * c));
    const forget = number(options.input_forget, 0) === 1 ? 1 - i : f[0]!(clip(total(gate(2)) + peephole(2) * c));
    const after = forget * c + i * f[1]!(clip(total(gate(3))));
    const o = f[0]!(clip(total(gate(1)) + peephole(1) * after));
    return { h: o * f[2]!(after), c: after };
  }),
};
