/** @jest-environment ./test/support/native-arrays.ts */
import fc from 'fast-check';
import * as ort from 'onnxruntime-node';
import { differentiate } from '../../training/differentiate';
import { fixBatch } from '../../training/fix-batch';
import { encodeModel } from '../../training/onnx/codec';
import type { Attributes, Graph, Node, Tensor } from '../../training/onnx/graph';
import { floatTensor, int, ints, intTensor } from '../../training/onnx/graph';
import { valuesFor } from './derivatives/harness';
import type { Array64, Options } from './reference/arrays';
import { reference } from './reference/index';

jest.setTimeout(60_000);

/** One choice of the generator: which operator, on which of the values so far, with which axis or sizes. */
interface Choice {
  readonly op: number;
  readonly a: number;
  readonly b: number;
  readonly k: number;
}
interface Step {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly options: Options;
  readonly output: string;
}
/** A graph as it grows: its steps, the float64 value of each name, and constants. */
interface Growing {
  readonly steps: Step[];
  readonly values: Map<string, Array64>;
  readonly constants: Map<string, Tensor>;
}
type Grow = (g: Growing, a: string, b: string, k: number) => Omit<Step, 'output'> | undefined;

const rankOf = (g: Growing, name: string) => g.values.get(name)!.shape.length;
function whole(g: Growing, shape: readonly number[], data: readonly number[]): string {
  const name = `c${g.constants.size}`;
  g.constants.set(name, intTensor(shape, data));
  g.values.set(name, { shape, data });
  return name;
}
const unary =
  (op: string): Grow =>
  (_, a) => ({ op, inputs: [a], options: {} });
const fits = (a: readonly number[], b: readonly number[]) =>
  a.every((axis, i) => {
    const other = b[b.length - a.length + i];
    return other === undefined || axis === other || axis === 1 || other === 1;
  });
const binary =
  (op: string): Grow =>
  (g, a, b) =>
    fits(g.values.get(a)!.shape, g.values.get(b)!.shape) ? { op, inputs: [a, b], options: {} } : undefined;
const alongAxis =
  (op: string): Grow =>
  (g, a, _, k) =>
    rankOf(g, a) > 0 ? { op, inputs: [a], options: { axis: k % rankOf(g, a) } } : undefined;
const reduction =
  (op: string): Grow =>
  (g, a, _, k) =>
    rankOf(g, a) > 0 ? { op, inputs: [a, whole(g, [1], [k % rankOf(g, a)])], options: { keepdims: k % 2 } } : undefined;

const grows: readonly Grow[] = [
  ...['Tanh', 'Sigmoid', 'Sin', 'Cos', 'Erf', 'Softplus', 'Softsign', 'Relu', 'LeakyRelu', 'Elu', 'Gelu', 'Abs', 'Neg', 'Mish'].map(unary),
  ...['Add', 'Sub', 'Mul', 'Max', 'Min'].map(binary),
  ...['Softmax', 'LogSoftmax'].map(alongAxis),
  ...['ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceLogSumExp'].map(reduction),
  (g, a) => ({ op: 'Transpose', inputs: [a], options: { perm: [...g.values.get(a)!.shape.keys()].reverse() } }),
  (g, a, b) => {
    const [A, B] = [g.values.get(a)!.shape, g.values.get(b)!.shape];
    return A.length > 1 && B.length > 1 && A.at(-1) === B.at(-2) && fits(A.slice(0, -2), B.slice(0, -2))
      ? { op: 'MatMul', inputs: [a, b], options: {} }
      : undefined;
  },
  (g, a, b, k) => {
    const [A, B] = [g.values.get(a)!.shape, g.values.get(b)!.shape];
    const axis = A.length > 0 ? k % A.length : 0;
    return A.length > 0 && A.length === B.length && A.every((size, i) => i === axis || size === B[i])
      ? { op: 'Concat', inputs: [a, b], options: { axis } }
      : undefined;
  },
  (g, a, _, k) => {
    const { shape } = g.values.get(a)!;
    const axis = shape.length > 0 ? k % shape.length : 0;
    const size = shape[axis] ?? 1;
    return size > 1 ? { op: 'Slice', inputs: [a, whole(g, [1], [k % 2]), whole(g, [1], [size]), whole(g, [1], [axis])], options: {} } : undefined;
  },
  (g, a, _, k) => {
    const axis = rankOf(g, a) > 0 ? k % rankOf(g, a) : 0;
    const size = g.values.get(a)!.shape[axis] ?? 1;
    return rankOf(g, a) > 0 ? { op: 'Gather', inputs: [a, whole(g, [2], [k % size, (k + 1) % size])], options: { axis } } : undefined;
  },
  (g, a, _, k) => ({ op: 'Unsqueeze', inputs: [a, whole(g, [1], [k % (rankOf(g, a) + 1)])], options: {} }),
  (g, a) => ({ op: 'Reshape', inputs: [a, whole(g, [1], [-1])], options: {} }),
];

const starts: Readonly<Record<string, readonly number[]>> = { x: [2, 3], y: [3, 2], z: [3] };
const LARGEST = 200;

/** Plays the choices; one that does not fit the shapes is passed over, so that every list of choices is a graph. */
function grow(choices: readonly Choice[]): Growing {
  const start = Object.entries(starts).map(([name, shape], i) => [name, { shape, data: valuesFor(shape, [-1.2, 1.2], i) }] as const);
  const g: Growing = { steps: [], values: new Map(start), constants: new Map() };
  const names = [...g.values.keys()];
  for (const { op, a, b, k } of choices) {
    const step = grows[op % grows.length]!(g, names[a % names.length]!, names[b % names.length]!, k);
    if (!step) continue;
    const value = reference[step.op]!(
      step.inputs.map((name) => g.values.get(name)),
      step.options,
    )[0]!;
    if (value.shape.length > 4 || value.data.length > LARGEST || value.data.some((each) => !(Math.abs(each) < 50))) continue;
    const output = `v${g.steps.length}`;
    g.steps.push({ ...step, output });
    g.values.set(output, value);
    names.push(output);
  }
  return g;
}

const attributesOf = (options: Options): Attributes =>
  Object.fromEntries(Object.entries(options).map(([name, value]) => [name, Array.isArray(value) ? ints(value as number[]) : int(value as number)]));

function modelOf({ steps, constants }: Growing): Graph {
  const trained = Object.entries(starts).map(([name, shape], i) => [name, floatTensor(shape, valuesFor(shape, [-1.2, 1.2], i))] as const);
  return {
    name: 'random',
    opset: 20,
    nodes: steps.map(({ op, inputs, options, output }): Node => ({
      op,
      domain: '',
      name: output,
      inputs,
      outputs: [output],
      attributes: attributesOf(options),
    })),
    initializers: new Map([...constants, ...trained]),
    inputs: [],
    outputs: [{ name: steps.at(-1)!.output, type: 'float32', shape: undefined }],
  };
}

/** Σ w y in float64 with one input moved. */
function totalOf(g: Growing, weights: readonly number[], name: string, direction: readonly number[], by: number): number {
  const values = new Map(g.values);
  const { shape, data } = g.values.get(name)!;
  values.set(name, { shape, data: data.map((value, i) => value + by * direction[i]!) });
  for (const { op, inputs, options, output } of g.steps)
    values.set(
      output,
      reference[op]!(
        inputs.map((input) => values.get(input)),
        options,
      )[0]!,
    );
  return values.get(g.steps.at(-1)!.output)!.data.reduce((sum, value, i) => sum + value * weights[i]!, 0);
}

const show = ({ steps }: Growing) =>
  steps.map(({ op, inputs, options, output }) => `${output} = ${op}(${inputs.join(', ')}) ${JSON.stringify(options)}`).join('\n');

async function check(choices: readonly Choice[]): Promise<void> {
  const g = grow(choices);
  if (g.steps.length === 0) return;
  const names = Object.keys(starts);
  const fixed = fixBatch(modelOf(g), [], new Set(names));
  const y = fixed.valueOf(g.steps.at(-1)!.output);
  const weights = valuesFor(y.shape, [-1, 1], 50);
  const gradients = differentiate(fixed, names, y, fixed.g.constant(floatTensor(y.shape, weights)));
  const session = await ort.InferenceSession.create(encodeModel(fixed.g.graph('random', names.map(fixed.valueOf), [y, ...gradients.values()])), {
    logSeverityLevel: 3,
  });
  const feeds = Object.fromEntries(
    session.inputNames.map((name) => [name, new ort.Tensor('float32', Float32Array.from(g.values.get(name)!.data), starts[name] as number[])]),
  );
  const results = await session.run(feeds);
  await session.release();
  names.forEach((name, i) => {
    const direction = valuesFor(starts[name]!, [-1, 1], 60 + i);
    const h = 1e-6;
    const expected = (totalOf(g, weights, name, direction, h) - totalOf(g, weights, name, direction, -h)) / (2 * h);
    const gradient = gradients.get(name);
    const got = gradient ? Array.from(results[gradient.name]!.data as Float32Array).reduce((sum, value, k) => sum + value * direction[k]!, 0) : 0;
    const scale = Math.max(Math.abs(expected), ...g.values.get(g.steps.at(-1)!.output)!.data.map(Math.abs), 1);
    if (!(Math.abs(got - expected) <= 1e-4 * scale)) throw new Error(`along ${name}: got ${got}, expected ${expected}, in\n${show(g)}`);
  });
}

describe('a random composition of rules', () => {
  it('has the derivative of its float64 forward along a random direction of each input', async () => {
    const choice = fc.record({ op: fc.nat(999), a: fc.nat(30), b: fc.nat(30), k: fc.nat(11) });
    await fc.assert(fc.asyncProperty(fc.array(choice, { minLength: 4, maxLength: 16 }), check), { seed: 20_261_124, numRuns: 300 });
  });

  it('covers every operator of the generator', () => {
    const stream = fc.sample(fc.array(fc.record({ op: fc.nat(999), a: fc.nat(30), b: fc.nat(30), k: fc.nat(11) }), { minLength: 4, maxLength: 16 }), {
      seed: 20_261_124,
      numRuns: 300,
    });
    const used = new Set(stream.flatMap((choices) => grow(choices).steps.map(({ op }) => op)));
    expect(used.size).toBe(grows.length);
  });
});
