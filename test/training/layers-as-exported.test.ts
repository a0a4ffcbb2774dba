/** @jest-environment ./test/support/native-arrays.ts */
import type { Loss } from '../../contracts/model';
import { gradientsOf, type Gradients } from '../../training/gradients';
import { encodeModel } from '../../training/onnx/codec';
import { float, floatTensor, int, ints, intTensor, type Attributes, type Graph, type Node, type Tensor } from '../../training/onnx/graph';
import { bitsAt, streamOf } from '../../training/random';
import { runGraph } from '../../training/runtime';
import type { SafeTensor } from '../../training/safetensors';

/* Forms that exporters give to layers, each against another form whose gradients are known to be right. */
const uniform = (count: number, key: number) => {
  const stream = streamOf(7, key);
  return Array.from({ length: count }, (_, i) => (bitsAt(stream, i) / 2 ** 32) * 2 - 1);
};
const node = (op: string, inputs: string[], outputs: string[], attributes: Attributes = {}): Node => ({
  op,
  domain: '',
  name: outputs[0]!,
  inputs,
  outputs,
  attributes,
});
const graphOf = (nodes: Node[], initializers: Record<string, Tensor>): Graph => ({
  name: 'layers',
  opset: 18,
  nodes,
  initializers: new Map(Object.entries(initializers)),
  inputs: [{ name: 'x', type: 'float32', shape: ['N', 3, 4] }],
  outputs: [{ name: 'y', type: 'float32', shape: ['N', 3, 4] }],
});
const floats = (name: string, shape: number[], key: number): SafeTensor => ({
  name,
  dtype: 'F32',
  shape,
  data: Float32Array.from(
    uniform(
      shape.reduce((a, b) => a * b, 1),
      key,
    ),
  ),
});
const batch = new Map([
  ['x', floats('x', [5, 3, 4], 1)],
  ['t', floats('t', [5, 3, 4], 2)],
]);
const run = (graph: Graph, choice: { freeze?: string[] } = {}) =>
  gradientsOf({ onnx: encodeModel(graph), batch, targets: 't', loss: 'mse', ...choice }, runGraph);
const gradient = (made: Gradients, name: string) => Array.from(made.gradients.find((each) => each.name === name)!.data as Float32Array);
const buffer = (made: Gradients, name: string) => Array.from(made.buffers.find((each) => each.name === name)!.data as Float32Array);
const expectClose = (got: number[], expected: number[]) => got.forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 5));

const weights = {
  w: floatTensor([4, 4], uniform(16, 3)),
  scale: floatTensor([3], [1, 1.5, 0.5]),
  bias: floatTensor([3], [0, 0.1, -0.1]),
  mean: floatTensor([3], [0.1, 0, -0.2]),
  variance: floatTensor([3], [1, 0.5, 2]),
};
const norm = (from: string, to: string, [scale, bias, mean, variance] = ['scale', 'bias', 'mean', 'variance'] as string[]) =>
  node('BatchNormalization', [from, scale!, bias!, mean!, variance!], [to], { epsilon: float(1e-5), momentum: float(0.75) });

describe('BatchNormalization', () => {
  const once = graphOf([node('MatMul', ['x', 'w'], ['h']), norm('h', 'y')], weights);

  it('sees the batch and takes its statistics over where its scale and bias do not train', async () => {
    const [free, frozen] = [await run(once), await run(once, { freeze: ['scale', 'bias'] })];
    expect(frozen.gradients.map(({ name }) => name)).toEqual(['w']);
    expect(frozen.loss).toBe(free.loss);
    expectClose(gradient(frozen, 'w'), gradient(free, 'w'));
    for (const name of ['mean', 'variance']) expectClose(buffer(frozen, name), buffer(free, name));
  });

  it('reads a small momentum as the number that was written, not as the float32 next to it', async () => {
    const slow = graphOf(
      once.nodes.map((each) =>
        each.op === 'BatchNormalization' ? { ...each, attributes: { ...each.attributes, momentum: float(Math.fround(0.9997)) } } : each,
      ),
      weights,
    );
    const [of, plainly] = [await run(slow), await run(once)];
    buffer(of, 'mean').forEach((value, i) => {
      const before = Number(weights.mean.data[i]);
      expect((value - before) / ((buffer(plainly, 'mean')[i]! - before) / 0.25)).toBeCloseTo(0.0003, 7);
    });
  });

  const twice = (again: string[], between: Node[] = []) =>
    graphOf([node('MatMul', ['x', 'w'], ['h']), norm('h', 'a'), node('Tanh', ['a'], ['b']), ...between, norm('b', 'y', again)], weights);

  it.each<[string, Graph]>([
    ['by its name', twice(['scale', 'bias', 'mean', 'variance'])],
    [
      'as torch.export writes it, through an Identity',
      twice(['scale', 'bias', 'mean.1', 'variance.1'], [node('Identity', ['mean'], ['mean.1']), node('Identity', ['variance'], ['variance.1'])]),
    ],
  ])('that is used twice, %s, adds its gradients up and takes its statistics over one after the other', async (_how, graph) => {
    const { scale, bias, mean, variance } = weights;
    const apart = graphOf(twice(['scale2', 'bias2', 'mean2', 'variance2']).nodes as Node[], {
      ...weights,
      scale2: scale,
      bias2: bias,
      mean2: mean,
      variance2: variance,
    });
    const [one, two] = [await run(graph), await run(apart)];
    expect(one.loss).toBeCloseTo(two.loss, 6);
    expectClose(gradient(one, 'w'), gradient(two, 'w'));
    for (const name of ['scale', 'bias']) {
      const second = gradient(two, `${name}2`);
      expectClose(
        gradient(one, name),
        gradient(two, name).map((value, i) => value + second[i]!),
      );
    }
    expect(one.buffers.map(({ name }) => name)).toEqual(['mean', 'variance']);
    for (const name of ['mean', 'variance'] as const) {
      // The second use starts from what the first one left: old + ¼ (new - old), twice.
      const [first, second, before] = [buffer(two, name), buffer(two, `${name}2`), weights[name].data];
      expectClose(
        buffer(one, name),
        first.map((value, i) => second[i]! + 0.75 * (value - Number(before[i]))),
      );
    }
  });

  it('that computes its own mean and variance has the gradients of one in training mode', async () => {
    const { mean: _, variance: __, ...rest } = weights;
    const computed = graphOf(
      [
        node('MatMul', ['x', 'w'], ['h']),
        node('ReduceMean', ['h', 'axes'], ['m'], { keepdims: int(1) }),
        node('Sub', ['h', 'm'], ['c']),
        node('Mul', ['c', 'c'], ['cc']),
        node('ReduceMean', ['cc', 'axes'], ['var'], { keepdims: int(0) }),
        node('Squeeze', ['m', 'axes'], ['mean']),
        norm('h', 'y', ['scale', 'bias', 'mean', 'var']),
      ],
      { ...rest, axes: intTensor([2], [0, 2]) },
    );
    const [got, expected] = [await run(computed), await run(once)];
    expect(got.loss).toBeCloseTo(expected.loss, 6);
    expect(got.buffers).toEqual([]);
    for (const name of ['w', 'scale', 'bias']) expectClose(gradient(got, name), gradient(expected, name));
  });

  it('of two layers whose equal statistics were merged is refused, with both names', async () => {
    const merged = graphOf(twice(['scale2', 'bias', 'mean', 'variance']).nodes as Node[], { ...weights, scale2: floatTensor([3], [1, 1, 1]) });
    await expect(run(merged)).rejects.toMatchObject({ code: 'UnsupportedOperator', message: expect.stringMatching(/'a' and 'y'.*share.*'mean'/) });
  });
});

describe('a pool', () => {
  it('that rounds up where nothing is left over has the gradients of one that rounds down', async () => {
    const pooled = (ceil: number): Graph => ({
      ...graphOf(
        [
          node('MatMul', ['x', 'w'], ['h']),
          node('Unsqueeze', ['h', 'axis'], ['image']),
          node('MaxPool', ['image'], ['p'], { kernel_shape: ints([1, 2]), strides: ints([1, 2]), ceil_mode: int(ceil) }),
          node('Concat', ['p', 'p'], ['pp'], { axis: int(3) }),
          node('Squeeze', ['pp', 'axis'], ['y']),
        ],
        { w: weights.w, axis: intTensor([1], [1]) },
      ),
    });
    expect(gradient(await run(pooled(1)), 'w')).toEqual(gradient(await run(pooled(0)), 'w'));
  });
});

describe('an embedding', () => {
  const table = uniform(6 * 4, 9).map((value, i) => (Math.floor(i / 4) === 2 ? 0 : value));
  const rows = (values: number[]): Graph => ({
    ...graphOf([node('Gather', ['emb.weight', 'ids'], ['y'])], { 'emb.weight': floatTensor([6, 4], values) }),
    inputs: [{ name: 'ids', type: 'int64', shape: ['N', 3] }],
  });
  const ids = new Map<string, SafeTensor>([
    ['ids', { name: 'ids', dtype: 'I64', shape: [5, 3], data: BigInt64Array.from([0, 1, 2, 3, 4, 5, 2, 2, 1, 0, 5, 2, 3, 3, 2], BigInt) }],
    ['t', floats('t', [5, 3, 4], 2)],
  ]);

  it('does not train its one row of zeros, which PyTorch keeps for padding', async () => {
    const of = (values: number[]) => gradientsOf({ onnx: encodeModel(rows(values)), batch: ids, targets: 't', loss: 'mse' }, runGraph);
    const [padded, plain] = [await of(table), await of(table.with(8, 1e-6))];
    const [got, expected] = [gradient(padded, 'emb.weight'), gradient(plain, 'emb.weight')];
    expect(got.slice(8, 12)).toEqual([0, 0, 0, 0]);
    expect(expected.slice(8, 12).every((value) => value !== 0)).toBe(true);
    expectClose([...got.slice(0, 8), ...got.slice(12)], [...expected.slice(0, 8), ...expected.slice(12)]);
  });
});

describe('labels', () => {
  const language: Graph = {
    ...graphOf([node('Gather', ['table', 'ids'], ['y'])], { table: floatTensor([6, 6], uniform(36, 11)) }),
    inputs: [{ name: 'ids', type: 'int64', shape: ['N', 3] }],
  };
  const tokens = [0, 1, 4, 3, 4, 5, 2, 5, 1, 0, 5, 2, 3, 3, 2];
  const labels = (name: string, shape: number[], values: number[]): SafeTensor => ({
    name,
    dtype: 'I64',
    shape,
    data: BigInt64Array.from(values, BigInt),
  });
  const next = tokens.flatMap((_, i) => (i % 3 === 2 ? [] : [tokens[i + 1]!]));
  const all = new Map([
    ['ids', labels('ids', [5, 3], tokens)],
    ['next', labels('next', [5, 2], next)],
    // What comes after the last position is left out: the same mean over the same labels.
    [
      'ignored',
      labels(
        'ignored',
        [5, 3],
        tokens.map((_, i) => (i % 3 === 2 ? -100 : tokens[i + 1]!)),
      ),
    ],
    [
      'lost',
      labels(
        'lost',
        [5, 3],
        tokens.map((token, i) => (i % 3 === 1 ? -100 : token)),
      ),
    ],
  ]);
  const of = (targets: string | undefined, loss: Loss) => gradientsOf({ onnx: encodeModel(language), batch: all, targets, loss }, runGraph);

  it('of the next token are the tokens one further on, given or as they are read', async () => {
    const expected = await of('ignored', 'softmax-cross-entropy');
    expect(expected.loss).toBeGreaterThan(1);
    for (const targets of ['ids', 'next', undefined]) {
      const made = await of(targets, 'next-token');
      expect(made.loss).toBeCloseTo(expected.loss, 5);
      expectClose(gradient(made, 'table'), gradient(expected, 'table'));
    }
  });
  it('of -100 count nothing, neither in the sum nor in the mean', async () => {
    const made = await of('lost', 'next-token');
    // Of each row the label of the second position is left, the last token.
    const rows = [0, 1, 2, 3, 4].map((row) => {
      const logits = uniform(36, 11).slice(tokens[3 * row + 1]! * 6, tokens[3 * row + 1]! * 6 + 6);
      return Math.log(logits.reduce((sum, value) => sum + Math.exp(value), 0)) - logits[tokens[3 * row + 2]!]!;
    });
    expect(made.loss).toBeCloseTo(rows.reduce((sum, value) => sum + value, 0) / 5, 5);
  });
  it('of -100 are refused by a loss that has no place for them', async () => {
    const batch = new Map(all).set('hinged', labels('hinged', [5, 3], tokens.with(0, -100)));
    await expect(gradientsOf({ onnx: encodeModel(language), batch, targets: 'hinged', loss: 'hinge' }, runGraph)).rejects.toMatchObject({
      code: 'BadData',
      message: expect.stringMatching(/-100, which loss hinge cannot leave out/),
    });
  });
});
