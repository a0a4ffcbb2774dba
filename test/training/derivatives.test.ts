/** @jest-environment ./test/support/native-arrays.ts */
import * as ort from 'onnxruntime-node';
import { differentiate } from '../../training/differentiate';
import { fixBatch } from '../../training/fix-batch';
import { encodeModel } from '../../training/onnx/codec';
import type { Attribute, Attributes, Graph, Node, Tensor } from '../../training/onnx/graph';
import { dataOf, float, int, ints, sizeOf, text } from '../../training/onnx/graph';
import { bitsAt, streamOf } from '../../training/random';
import { trainingBatchNorm, ZERO } from '../../training/training-form';
import { rules } from '../../training/vjp/index';
import type { Array64, Options } from './reference';
import { reference } from './reference';

/** An input that trains is a shape, with values from a range; one that does not is given with its elements. */
type Input =
  | readonly number[]
  | { readonly shape: readonly number[]; readonly between: readonly [number, number] }
  | { readonly fixed: readonly number[]; readonly shape?: readonly number[]; readonly type?: 'int64' | 'float32' | 'bool' }
  | undefined;
interface Row {
  readonly op: string;
  readonly inputs: readonly Input[];
  readonly options?: Options;
  /** Attributes whose numbers are floats though they are whole. */
  readonly floats?: readonly string[];
  /** For an operator of several outputs: which are used, side by side along the axis 0. */
  readonly use?: { readonly outputs: number; readonly joined: readonly number[] };
}

const positive = (shape: readonly number[]): Input => ({ shape, between: [0.3, 2] });
const wide = (shape: readonly number[]): Input => ({ shape, between: [-5, 5] });
const whole = (...fixed: number[]): Input => ({ fixed, type: 'int64' });

const image = [2, 3, 6, 6];
const unary = (op: string, input: Input = wide([3, 4]), options: Options = {}, floats: string[] = []): Row => ({
  op,
  inputs: [input],
  options,
  floats,
});
const pairs: readonly (readonly [readonly number[], readonly number[]])[] = [
  [
    [2, 3],
    [2, 3],
  ],
  [[2, 3], [3]],
  [[3], [2, 3]],
  [[2, 3], []],
  [[], [2, 3]],
  [
    [2, 1],
    [1, 3],
  ],
  [
    [2, 1, 3],
    [4, 1],
  ],
  [[1], [2, 3]],
];
const binary = (op: string, first = (shape: readonly number[]): Input => shape, second = first): Row[] =>
  pairs.map(([a, b]) => ({ op, inputs: [first(a), second(b)] }));
const reduce = (op: string, of = (shape: readonly number[]): Input => shape): Row[] => [
  { op, inputs: [of([2, 3, 4]), whole(1)], options: { keepdims: 0 } },
  { op, inputs: [of([2, 3, 4]), whole(-1, 0)], options: { keepdims: 1 } },
  { op, inputs: [of([2, 3]), undefined], options: { keepdims: 0 } },
];
const truth: Input = { fixed: [1, 0, 0, 1, 1, 0], shape: [2, 3], type: 'bool' };

const table: readonly Row[] = [
  ...['Identity', 'Neg', 'Abs', 'Sin', 'Cos', 'Relu', 'Sigmoid', 'Tanh', 'Softplus', 'Softsign', 'Mish', 'HardSwish'].map((op) => unary(op)),
  unary('Exp', [3, 4]),
  unary('Erf', [3, 4]),
  unary('Log', positive([3, 4])),
  unary('Sqrt', positive([3, 4])),
  unary('Reciprocal', positive([3, 4])),
  unary('LeakyRelu', wide([3, 4]), { alpha: 0.125 }),
  unary('Elu', wide([3, 4]), { alpha: 0.75 }),
  unary('Celu', wide([3, 4]), { alpha: 0.75 }),
  unary('Selu'),
  unary('Gelu', wide([3, 4])),
  unary('Gelu', wide([3, 4]), { approximate: 'tanh' }),
  unary('HardSigmoid'),
  unary('Cast', wide([3, 4]), { to: 1 }),
  { op: 'Clip', inputs: [wide([3, 4]), { fixed: [-1], shape: [], type: 'float32' }, { fixed: [2], shape: [], type: 'float32' }] },
  { op: 'Clip', inputs: [wide([3, 4]), undefined, { fixed: [2], shape: [], type: 'float32' }] },
  { op: 'PRelu', inputs: [wide([2, 3, 4]), [3, 1]] },
  ...binary('Add'),
  ...binary('Sub'),
  ...binary('Mul'),
  ...binary('Div', undefined, positive),
  ...binary('Pow', positive, (shape) => shape),
  { op: 'Pow', inputs: [[3, 4], { fixed: [2], shape: [], type: 'float32' }] },
  { op: 'Pow', inputs: [[3, 4], { fixed: [3], shape: [], type: 'int64' }] },
  ...binary('Min'),
  ...binary('Max'),
  { op: 'Max', inputs: [[2, 3], [3], [2, 1]] },
  { op: 'Sum', inputs: [[2, 3], [3], [2, 1]] },
  { op: 'Mean', inputs: [[2, 3], [3], [2, 1]] },
  { op: 'Where', inputs: [truth, [2, 3], [3]] },
  { op: 'Where', inputs: [truth, [], [4, 1, 3]] },

  ...['ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceSumSquare', 'ReduceL1', 'ReduceL2', 'ReduceLogSumExp'].flatMap((op) => reduce(op)),
  ...reduce('ReduceLogSum', positive),
  ...['Softmax', 'LogSoftmax'].flatMap((op): Row[] => [
    { op, inputs: [[3, 5]], options: { axis: -1 } },
    { op, inputs: [[2, 3, 4]], options: { axis: 1 } },
  ]),

  { op: 'Reshape', inputs: [[2, 3, 4], whole(0, -1)] },
  { op: 'Flatten', inputs: [[2, 3, 4]], options: { axis: 2 } },
  { op: 'Squeeze', inputs: [[2, 1, 4, 1], whole(-1)] },
  { op: 'Unsqueeze', inputs: [[2, 4], whole(0, -1)] },
  { op: 'Transpose', inputs: [[2, 3, 4]] },
  { op: 'Transpose', inputs: [[2, 3, 4, 5]], options: { perm: [2, 0, 3, 1] } },
  { op: 'Expand', inputs: [[3, 1], whole(2, 1, 4)] },
  { op: 'Tile', inputs: [[2, 3], whole(2, 3)] },
  {
    op: 'Concat',
    inputs: [
      [2, 3],
      [2, 1],
      [2, 4],
    ],
    options: { axis: -1 },
  },
  { op: 'Split', inputs: [[7, 2]], options: { axis: 0, num_outputs: 3 }, use: { outputs: 3, joined: [2, 0, 1] } },
  { op: 'Split', inputs: [[7, 2], whole(2, 4, 1)], options: { axis: 0 }, use: { outputs: 3, joined: [1, 2] } },
  { op: 'Slice', inputs: [[5, 6], whole(1, -4), whole(4, 100), whole(0, 1)] },
  { op: 'Slice', inputs: [[5, 7], whole(1), whole(7), whole(1), whole(2)] },
  { op: 'Slice', inputs: [[5, 8], whole(-1), whole(-100), whole(1), whole(-3)] },
  { op: 'Pad', inputs: [[2, 3], whole(1, 0, 2, 1)] },
  { op: 'Pad', inputs: [[4, 5], whole(-1, 2, 1, -2)] },
  { op: 'Gather', inputs: [[5, 3], { fixed: [0, 4, 4, -1], shape: [2, 2], type: 'int64' }] },
  { op: 'Gather', inputs: [[2, 4, 3], { fixed: [2], shape: [], type: 'int64' }], options: { axis: 1 } },
  { op: 'GatherElements', inputs: [[3, 3], { fixed: [1, 1, 0, -1, 0, 0], shape: [2, 3], type: 'int64' }], options: { axis: 0 } },

  {
    op: 'MatMul',
    inputs: [
      [3, 4],
      [4, 2],
    ],
  },
  {
    op: 'MatMul',
    inputs: [
      [2, 3, 4],
      [4, 2],
    ],
  },
  {
    op: 'MatMul',
    inputs: [
      [3, 4],
      [2, 4, 2],
    ],
  },
  {
    op: 'MatMul',
    inputs: [
      [5, 1, 3, 4],
      [2, 4, 2],
    ],
  },
  ...[0, 1].flatMap((transA) =>
    [0, 1].map((transB): Row => {
      const [a, b] = [transA ? [4, 3] : [3, 4], transB ? [2, 4] : [4, 2]];
      return { op: 'Gemm', inputs: [a, b, transA ? [2] : [3, 1]], options: { transA, transB, alpha: 0.5, beta: 1.5 } };
    }),
  ),
  { op: 'Gemm', inputs: [[3, 4], [4, 2], []] },

  { op: 'Conv', inputs: [image, [4, 3, 3, 3], [4]] },
  { op: 'Conv', inputs: [image, [4, 3, 3, 3]], options: { pads: [1, 0, 2, 1], strides: [2, 1] } },
  { op: 'Conv', inputs: [image, [2, 3, 5, 5], [2]], options: { pads: [2, 2, 2, 2] } },
  { op: 'Conv', inputs: [image, [2, 3, 4, 4]], options: { pads: [1, 1, 1, 1], strides: [2, 3] } },
  { op: 'Conv', inputs: [[2, 4, 7, 7], [6, 2, 2, 2], [6]], options: { group: 2, dilations: [2, 1], strides: [1, 2] } },
  {
    op: 'Conv',
    inputs: [
      [2, 3, 6, 6],
      [3, 1, 3, 3],
    ],
    options: { group: 3, pads: [1, 1, 1, 1], strides: [2, 2] },
  },
  {
    op: 'Conv',
    inputs: [
      [2, 3, 7, 7],
      [2, 3, 4, 4],
    ],
    options: { dilations: [2, 2], strides: [2, 2], pads: [2, 2, 2, 2] },
  },
  { op: 'Conv', inputs: [image, [5, 3, 1, 1]] },
  { op: 'Conv', inputs: [[2, 2, 9], [3, 2, 3], [3]], options: { strides: [2] } },
  {
    op: 'Conv',
    inputs: [
      [1, 2, 4, 4, 4],
      [2, 2, 2, 2, 2],
    ],
  },
  { op: 'ConvTranspose', inputs: [[2, 3, 4, 4], [3, 2, 3, 3], [2]], options: { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] } },
  {
    op: 'ConvTranspose',
    inputs: [
      [2, 4, 3, 3],
      [4, 1, 2, 2],
    ],
    options: { group: 2, strides: [2, 1] },
  },
  { op: 'MaxPool', inputs: [image], options: { kernel_shape: [2, 2], strides: [2, 2] } },
  { op: 'MaxPool', inputs: [image], options: { kernel_shape: [3, 2], strides: [3, 2] } },
  { op: 'MaxPool', inputs: [image], options: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } },
  { op: 'MaxPool', inputs: [[2, 3, 5, 5]], options: { kernel_shape: [2, 2], strides: [2, 2] } },
  { op: 'MaxPool', inputs: [[2, 3, 8]], options: { kernel_shape: [2], strides: [2] } },
  { op: 'AveragePool', inputs: [image], options: { kernel_shape: [2, 2], strides: [2, 2] } },
  { op: 'AveragePool', inputs: [image], options: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } },
  { op: 'AveragePool', inputs: [image], options: { kernel_shape: [3, 3], strides: [1, 2], pads: [1, 1, 1, 1], count_include_pad: 1 } },
  { op: 'AveragePool', inputs: [[1, 2, 5, 5]], options: { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 } },
  { op: 'GlobalAveragePool', inputs: [image] },
  { op: 'GlobalMaxPool', inputs: [image] },

  { op: 'BatchNormalization', inputs: [[4, 3, 2, 2], positive([3]), [3]], options: { epsilon: 0.01 } },
  { op: 'BatchNormalization', inputs: [[6, 3], positive([3]), [3]], options: { epsilon: 0.001 } },
  { op: 'LayerNormalization', inputs: [[3, 6], positive([6]), [6]] },
  { op: 'LayerNormalization', inputs: [[2, 3, 4], positive([3, 4])], options: { axis: 1, epsilon: 0.01 } },
  { op: 'InstanceNormalization', inputs: [[2, 3, 3, 3], positive([3]), [3]] },
  { op: 'GroupNormalization', inputs: [[2, 4, 3, 3], positive([4]), [4]], options: { num_groups: 2 } },
];

const describeInput = (input: Input): string =>
  input === undefined ? '-' : 'fixed' in input ? `(${input.fixed.join()})` : 'between' in input ? `[${input.shape.join()}]` : `[${input.join()}]`;
const nameOf = ({ op, inputs, options = {} }: Row): string => `${op} ${inputs.map(describeInput).join(' ')} ${JSON.stringify(options)}`;

const wholeAttributes = ['axis', 'to', 'keepdims', 'transA', 'transB', 'group', 'ceil_mode', 'count_include_pad', 'num_outputs', 'num_groups'];
const attribute = (name: string, value: Options[string]): Attribute =>
  Array.isArray(value)
    ? ints(value as number[])
    : typeof value === 'string'
      ? text(value)
      : wholeAttributes.includes(name)
        ? int(value as number)
        : float(value as number);

/** Values that stay clear of the kinks at 0, all different. */
function valuesFor(shape: readonly number[], [low, high]: readonly [number, number], key: number): number[] {
  const stream = streamOf(77, key);
  return Array.from({ length: sizeOf(shape) }, (_, i) => {
    const value = low + (high - low) * (bitsAt(stream, i) / 2 ** 32);
    return Math.fround(Math.abs(value) < 0.02 ? value + 0.05 : value);
  });
}

interface Prepared {
  readonly name: string;
  readonly trains: boolean;
  readonly tensor: Tensor;
}
const prepare = (inputs: readonly Input[]): (Prepared | undefined)[] =>
  inputs.map((input, i) => {
    if (input === undefined) return undefined;
    if ('fixed' in input) {
      const { fixed, type = 'int64', shape = [fixed.length] } = input;
      return { name: `in${i}`, trains: false, tensor: { type, shape, data: dataOf(type, fixed) } };
    }
    const { shape, between } = 'between' in input ? input : { shape: input, between: [-1.5, 1.5] as const };
    return { name: `in${i}`, trains: true, tensor: { type: 'float32', shape, data: dataOf('float32', valuesFor(shape, between, i)) } };
  });

const asArray = ({ tensor }: Prepared): Array64 => ({ shape: tensor.shape, data: Array.from(tensor.data as ArrayLike<number | bigint>, Number) });

function graphOf({ op, options = {}, use }: Row, prepared: readonly (Prepared | undefined)[]): Graph {
  const attributes: Attributes = Object.fromEntries(Object.entries(options).map(([name, value]) => [name, attribute(name, value)]));
  const inputs = prepared.map((input) => input?.name ?? '');
  const initializers = new Map(prepared.flatMap((input) => (input ? [[input.name, input.tensor] as const] : [])));
  const outputs = Array.from({ length: use?.outputs ?? 1 }, (_, i) => `out${i}`);
  let nodes: Node[] = [{ op, domain: '', name: 'tested', inputs, outputs, attributes }];
  if (op === 'BatchNormalization') {
    // The form that prepare.ts gives it.
    initializers.set(ZERO, { type: 'float32', shape: [], data: Float32Array.of(0) });
    nodes = trainingBatchNorm(nodes[0]!, ['mean', 'variance']);
  }
  if (use)
    nodes.push({ op: 'Concat', domain: '', name: 'join', inputs: use.joined.map((i) => `out${i}`), outputs: ['y'], attributes: { axis: int(0) } });
  else nodes.push({ op: 'Identity', domain: '', name: 'y', inputs: ['out0'], outputs: ['y'], attributes: {} });
  return {
    name: op,
    opset: op === 'GroupNormalization' ? 21 : 20,
    nodes,
    initializers,
    inputs: [],
    outputs: [{ name: 'y', type: 'float32', shape: undefined }],
  };
}

function forward({ op, options = {}, use }: Row, inputs: readonly (Array64 | undefined)[]): Array64 {
  const outputs = reference[op]!(inputs, options);
  return use
    ? reference.Concat!(
        use.joined.map((i) => outputs[i]),
        { axis: 0 },
      )[0]!
    : outputs[0]!;
}

describe('a derivative rule', () => {
  it.each(table.map((row) => [nameOf(row), row] as const))('agrees with central differences in float64: %s', async (_name, row) => {
    const prepared = prepare(row.inputs);
    const trained = prepared.filter((input) => input?.trains) as Prepared[];
    const arrays = prepared.map((input) => input && asArray(input));
    const expectedY = forward(row, arrays);
    const weights = valuesFor(expectedY.shape, [-1, 1], 99);

    const fixed = fixBatch(graphOf(row, prepared), [], new Set(trained.map(({ name }) => name)));
    const { g } = fixed;
    const y = fixed.valueOf('y');
    expect(y.shape).toEqual(expectedY.shape);
    const dY = g.define({ name: 'dY', shape: y.shape, type: 'float32' });
    const gradients = differentiate(
      fixed,
      trained.map(({ name }) => name),
      y,
      dY,
    );
    expect([...gradients.keys()].sort()).toEqual(trained.map(({ name }) => name).sort());
    const inputs = [dY, ...trained.map(({ name }) => fixed.valueOf(name))];
    const graph = g.graph(row.op, inputs, [y, ...gradients.values()]);
    const session = await ort.InferenceSession.create(encodeModel(graph), { logSeverityLevel: 3 });
    const feeds: Record<string, ort.Tensor> = { dY: new ort.Tensor('float32', Float32Array.from(weights), y.shape) };
    for (const { name, tensor } of trained) feeds[name] = new ort.Tensor('float32', tensor.data as Float32Array, tensor.shape);
    for (const name of Object.keys(feeds)) if (!session.inputNames.includes(name)) delete feeds[name];
    const results = await session.run(feeds);
    closeTo(Array.from(results.y!.data as Float32Array), expectedY.data, 'forward');

    const total = (changed: readonly (Array64 | undefined)[]) => forward(row, changed).data.reduce((sum, value, i) => sum + value * weights[i]!, 0);
    for (const { name } of trained) {
      const i = prepared.findIndex((input) => input?.name === name);
      const { shape, data } = arrays[i]!;
      const h = 1e-5;
      const differences = data.map((value, k) => {
        const moved = (by: number) => arrays.with(i, { shape, data: (data as number[]).with(k, value + by) });
        return (total(moved(h)) - total(moved(-h))) / (2 * h);
      });
      const gradient = results[gradients.get(name)!.name]!;
      expect(gradient.dims).toEqual(shape);
      closeTo(Array.from(gradient.data as Float32Array), differences, `gradient of input ${i}`);
    }
  });

  it('splits the gradient of a tied maximum equally, so that its sum is kept', async () => {
    const tied: Row = { op: 'MaxPool', inputs: [[1, 1, 2, 4]], options: { kernel_shape: [2, 2], strides: [2, 2] } };
    const prepared = prepare(tied.inputs);
    const fixed = fixBatch(graphOf(tied, prepared), [], new Set(['in0']));
    const { g } = fixed;
    const dY = g.define({ name: 'dY', shape: [1, 1, 1, 2], type: 'float32' });
    const gradient = differentiate(fixed, ['in0'], fixed.valueOf('y'), dY).get('in0')!;
    const session = await ort.InferenceSession.create(encodeModel(g.graph('ties', [dY, fixed.valueOf('in0')], [gradient])), { logSeverityLevel: 3 });
    const results = await session.run({
      dY: new ort.Tensor('float32', Float32Array.of(8, 3), [1, 1, 1, 2]),
      in0: new ort.Tensor('float32', Float32Array.of(5, 5, 1, 7, 5, 5, 7, 7), [1, 1, 2, 4]),
    });
    expect(Array.from(results[gradient.name]!.data as Float32Array)).toEqual([2, 2, 0, 1, 2, 2, 1, 1]);
  });

  it('has a row in this table when it has a gradient', () => {
    const tested = new Set(table.map(({ op }) => op));
    const untested = Object.entries(rules).filter(([op, rule]) => rule.gradients !== 'zero' && !tested.has(op));
    expect(untested.map(([op]) => op)).toEqual([]);
  });
});

function closeTo(got: readonly number[], expected: readonly number[], what: string): void {
  const scale = Math.max(...expected.map(Math.abs), 1e-3);
  const worst = Math.max(...expected.map((value, i) => Math.abs(value - got[i]!)), 0);
  if (!(worst <= 5e-6 * scale))
    throw new Error(
      `${what}: off by ${worst} where the largest is ${scale}:\n got      ${got.slice(0, 8).join(' ')}\n expected ${expected.slice(0, 8).join(' ')}`,
    );
}
