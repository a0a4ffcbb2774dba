import type { GraphWriter } from '../graph-writer';
import type { Value } from '../shapes';
import { float } from '../onnx/graph';
import type { At } from '../vjp/rule';
import { inputsOf } from '../vjp/rule';
import type { Lowering } from './lowering';

/*
 * Recurrent layers unrolled over their steps; the sequence's length is fixed with the batch. The products with the input
 * are one for all steps. Source: ONNX LSTM-22, GRU-22, RNN-22. Shapes: T steps, N samples, I inputs, H units, D directions.
 */

type Activation = (g: GraphWriter, x: Value) => Value;
type Make = (alpha: number | undefined, beta: number | undefined) => Activation;

/** Activations by their lower-case name, with ONNX's default constants; `constants`: how many each takes. */
const activations: Readonly<Record<string, { readonly constants: 0 | 1 | 2; readonly make: Make }>> = {
  relu: { constants: 0, make: () => (g, x) => g.unary('Relu', x) },
  tanh: { constants: 0, make: () => (g, x) => g.unary('Tanh', x) },
  sigmoid: { constants: 0, make: () => (g, x) => g.unary('Sigmoid', x) },
  softsign: { constants: 0, make: () => (g, x) => g.unary('Softsign', x) },
  softplus: { constants: 0, make: () => (g, x) => g.unary('Softplus', x) },
  leakyrelu: {
    constants: 1,
    make:
      (alpha = 0.01) =>
      (g, x) =>
        g.emit('LeakyRelu', [x], x, { alpha: float(alpha) }),
  },
  thresholdedrelu: {
    constants: 1,
    make:
      (alpha = 1) =>
      (g, x) =>
        g.emit('ThresholdedRelu', [x], x, { alpha: float(alpha) }),
  },
  elu: {
    constants: 1,
    make:
      (alpha = 1) =>
      (g, x) =>
        g.emit('Elu', [x], x, { alpha: float(alpha) }),
  },
  hardsigmoid: {
    constants: 2,
    make:
      (alpha = 0.2, beta = 0.5) =>
      (g, x) =>
        g.emit('HardSigmoid', [x], x, { alpha: float(alpha), beta: float(beta) }),
  },
  affine: {
    constants: 2,
    make:
      (alpha = 1, beta = 0) =>
      (g, x) =>
        g.add(g.mul(x, alpha), beta),
  },
  scaledtanh: {
    constants: 2,
    make:
      (alpha = 1, beta = 1) =>
      (g, x) =>
        g.mul(g.unary('Tanh', g.mul(x, beta)), alpha),
  },
};

/** One list of activations for each direction. */
function activationsOf(at: At, defaults: readonly string[], directions: number): Activation[][] {
  const names = at.strings('activations') ?? Array.from({ length: directions }, () => defaults).flat();
  const alphas = [...at.floats('activation_alpha')];
  const betas = [...at.floats('activation_beta')];
  const made = names.map((name) => {
    const known = activations[name.toLowerCase()];
    if (!known) throw at.refuse(`activation ${name}`, `activations of ${Object.keys(activations).join(', ')}`);
    return known.make(known.constants > 0 ? alphas.shift() : undefined, known.constants > 1 ? betas.shift() : undefined);
  });
  return Array.from({ length: directions }, (_, d) => made.slice(d * defaults.length, (d + 1) * defaults.length));
}

/** One direction's weights, and what a step works with. */
interface Cell {
  readonly g: GraphWriter;
  readonly at: At;
  readonly hidden: number;
  /** `[gates H, I]`, `[gates H, H]` */
  readonly W: Value;
  readonly R: Value;
  /** `[gates H]` each, where there is a bias. */
  readonly bias: { readonly W: Value; readonly R: Value } | undefined;
  /** Peepholes `[H]` for input, output and forget gate. */
  readonly P: readonly Value[] | undefined;
  readonly activations: readonly Activation[];
  /** Bounds what goes into an activation. */
  readonly clip: (x: Value) => Value;
}
/** One step: from the input's products `[N, gates H]` and the state before to the state after; the first is the output. */
type Step = (input: Value, state: readonly Value[]) => Value[];
interface Kind {
  readonly gates: number;
  readonly defaults: readonly string[];
  /** How many tensors `[N, H]` the state has. */
  readonly states: 1 | 2;
  /** What is added to the products of all steps at once; and the step. */
  readonly cell: (cell: Cell) => { readonly inputBias: Value | undefined; readonly step: Step };
}

const bothBiases = ({ g, bias }: Cell): Value | undefined => bias && g.add(bias.W, bias.R);

const rnn: Kind = {
  gates: 1,
  defaults: ['Tanh'],
  states: 1,
  cell: (cell) => ({
    inputBias: bothBiases(cell),
    step: (input, [h]) => [(cell.activations[0] as Activation)(cell.g, cell.clip(cell.g.gemm(h as Value, cell.R, { transB: true }, input)))],
  }),
};

/** Gates in the order z, r, h:  H' = (1 - z) h + z H. */
const gru: Kind = {
  gates: 3,
  defaults: ['Sigmoid', 'Tanh'],
  states: 1,
  cell: (cell) => {
    const { g, at, hidden, R, bias, clip } = cell;
    const [f, tanh] = cell.activations as [Activation, Activation];
    const resetAfter = at.int('linear_before_reset', 0) === 1;
    const [gatesR, candidateR] = g.split(R, 0, [2 * hidden, hidden]) as [Value, Value];
    const [gatesRb, candidateRb] = bias ? g.split(bias.R, 0, [2 * hidden, hidden]) : [];
    // After the reset the recurrent product has its own bias; else all biases add up beforehand.
    const inputBias = bias && (resetAfter ? g.add(bias.W, g.pad(gatesRb as Value, [0, hidden])) : g.add(bias.W, bias.R));
    return {
      inputBias,
      step: (input, [before]) => {
        const h = before as Value;
        const [forGates, forCandidate] = g.split(input, 1, [2 * hidden, hidden]) as [Value, Value];
        const gates = f(g, clip(g.gemm(h, gatesR, { transB: true }, forGates)));
        const [z, r] = g.split(gates, 1, [hidden, hidden]) as [Value, Value];
        const recurrent = resetAfter
          ? g.add(forCandidate, g.mul(r, g.gemm(h, candidateR, { transB: true }, candidateRb)))
          : g.gemm(g.mul(r, h), candidateR, { transB: true }, forCandidate);
        const candidate = tanh(g, clip(recurrent));
        return [g.add(candidate, g.mul(z, g.sub(h, candidate)))];
      },
    };
  },
};

/** Gates in the order i, o, f, c:  C' = f C + i c, H' = o h(C'). */
const lstm: Kind = {
  gates: 4,
  defaults: ['Sigmoid', 'Tanh', 'Tanh'],
  states: 2,
  cell: (cell) => {
    const { g, at, hidden, R, P, clip } = cell;
    const [f, tanh, squash] = cell.activations as [Activation, Activation, Activation];
    const coupled = at.int('input_forget', 0) === 1;
    const peep = (x: Value, index: number, c: Value) => (P ? g.add(x, g.mul(P[index] as Value, c)) : x);
    return {
      inputBias: bothBiases(cell),
      step: (input, [h, c]) => {
        const sums = g.gemm(h as Value, R, { transB: true }, input);
        const [i, o, forget, candidate] = g.split(sums, 1, [hidden, hidden, hidden, hidden]) as [Value, Value, Value, Value];
        const before = c as Value;
        const inGate = f(g, clip(peep(i, 0, before)));
        const keep = coupled ? g.sub(1, inGate) : f(g, clip(peep(forget, 2, before)));
        const after = g.add(g.mul(keep, before), g.mul(inGate, tanh(g, clip(candidate))));
        const outGate = f(g, clip(peep(o, 1, after)));
        return [g.mul(outGate, squash(g, after)), after];
      },
    };
  },
};

function recurrent({ gates, defaults, states, cell }: Kind): Lowering {
  return (at, g) => {
    const {
      X,
      W,
      R,
      B,
      sequence_lens: lengths,
      initial_h,
      initial_c,
      P,
    } = inputsOf(at, ['X', 'W', 'R', 'B?', 'sequence_lens?', 'initial_h?', 'initial_c?', 'P?']);
    const batchFirst = at.int('layout', 0) === 1;
    const swapped = (value: Value) => (batchFirst ? g.transpose(value, [1, 0, ...value.shape.map((_, i) => i).slice(2)]) : value);
    const [steps, samples, width] = (batchFirst ? [X.shape[1], X.shape[0], X.shape[2]] : X.shape) as [number, number, number];
    const [directions, hidden] = [W.shape[0] ?? 1, R.shape[2] ?? 1];
    const rows = g.reshape(swapped(X), [steps * samples, width]);
    const acts = activationsOf(at, defaults, directions);
    const clip = at.has('clip')
      ? (x: Value) => g.emit('Clip', [x, g.scalar(-at.float('clip', 0), x.type), g.scalar(at.float('clip', 0), x.type)], x)
      : (x: Value) => x;
    // When every sequence is known to be full, no step needs a mask.
    const ragged = lengths?.constant && at.known(lengths, 'lengths').every((length) => length >= steps) ? undefined : lengths;

    const run = (d: number) => {
      const ofDirection = (value: Value) => g.reshape(g.slice(value, 0, d, d + 1), value.shape.slice(1));
      const [Wb, Rb] = B ? g.split(ofDirection(B), 0, [gates * hidden, gates * hidden]) : [];
      const { inputBias, step } = cell({
        g,
        at,
        hidden,
        W: ofDirection(W),
        R: ofDirection(R),
        bias: Wb && Rb && { W: Wb, R: Rb },
        P: P && g.split(ofDirection(P), 0, [hidden, hidden, hidden]),
        activations: acts[d] as Activation[],
        clip,
      });
      const products = g.split(
        g.gemm(rows, ofDirection(W), { transB: true }, inputBias),
        0,
        Array.from({ length: steps }, () => samples),
      );
      const start = (value: Value | undefined) => (value ? ofDirection(swapped(value)) : g.full([samples, hidden], 0, X.type));
      let state = [start(initial_h), ...(states === 2 ? [start(initial_c)] : [])];
      const backwards = at.text('direction', 'forward') === 'reverse' || d === 1;
      const outputs = new Array<Value>(steps);
      for (let k = 0; k < steps; k++) {
        const t = backwards ? steps - 1 - k : k;
        const before = state;
        state = step(products[t] as Value, before);
        outputs[t] = state[0] as Value;
        if (!ragged) continue;
        // Past a sequence's end its state stays and its output is 0.
        const inside = g.compare('Greater', g.reshape(ragged, [samples, 1]), t);
        outputs[t] = g.where(inside, outputs[t], 0);
        state = state.map((after, i) => g.where(inside, after, before[i] as Value));
      }
      return { Y: g.reshape(g.concat(outputs, 0), [steps, 1, samples, hidden]), last: state };
    };

    const runs = Array.from({ length: directions }, (_, d) => run(d));
    const last = (i: number) =>
      swapped(
        g.concat(
          runs.map((each) => g.reshape(each.last[i] as Value, [1, samples, hidden])),
          0,
        ),
      );
    const Y = g.concat(
      runs.map((each) => each.Y),
      1,
    );
    return [batchFirst ? g.transpose(Y, [2, 0, 1, 3]) : Y, last(0), ...(states === 2 ? [last(1)] : [])];
  };
}

export const recurrentLowerings: Readonly<Record<string, Lowering>> = {
  RNN: recurrent(rnn),
  GRU: recurrent(gru),
  LSTM: recurrent(lstm),
};
