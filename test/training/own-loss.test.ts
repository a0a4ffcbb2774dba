/** @jest-environment ./test/support/native-arrays.ts */
import type { Loss } from '../../contracts/model';
import { measure, metricsOf } from '../../training/metrics';
import { encodeModel } from '../../training/onnx/codec';
import { floatTensor, int, type Attributes, type Graph, type Node, type ValueInfo } from '../../training/onnx/graph';
import { buildProgram, inferenceModel, type BuildRequest } from '../../training/prepare';
import { bitsAt, streamOf } from '../../training/random';
import { openForward, openModel, openTraining } from '../../training/runtime';

/* Graphs that compute their own loss, against the same loss by name. */
const N = 6;
const uniform = (count: number, key: number) => Float32Array.from({ length: count }, (_, i) => (bitsAt(streamOf(5, key), i) / 2 ** 32) * 2 - 1);
const node = (op: string, inputs: string[], outputs: string[], attributes: Attributes = {}): Node => ({
  ...{ op, domain: '', name: outputs[0]! },
  ...{ inputs, outputs, attributes },
});
const info = (name: string, ...shape: (number | string)[]): ValueInfo => ({ name, type: 'float32', shape });
const forward = [node('MatMul', ['x', 'w'], ['h']), node('Tanh', ['h'], ['z']), node('MatMul', ['z', 'v'], ['p'])];
/** The squared error's mean; its shape is made as exporters of PyTorch make it, by broadcasting both sides. */
const error = [
  node('Shape', ['t'], ['shape']),
  node('Expand', ['p', 'shape'], ['y']),
  node('Sub', ['y', 't'], ['d']),
  node('Mul', ['d', 'd'], ['dd']),
  node('ReduceMean', ['dd'], ['loss'], { keepdims: int(0) }),
];
const graphOf = (nodes: Node[], inputs: ValueInfo[], outputs: ValueInfo[]): Graph => ({
  ...{ name: 'own', opset: 18, nodes, inputs, outputs },
  initializers: new Map([
    ['w', floatTensor([4, 5], uniform(20, 1))],
    ['v', floatTensor([5, 2], uniform(10, 2))],
  ]),
});
const [x, t, y, loss] = [info('x', 'N', 4), info('t', 'N', 2), info('y', 'N', 'M'), info('loss')] as const;
const own = graphOf([...forward, ...error], [x, t], [loss, y]);
const plain = graphOf(forward, [x], [info('p', 'N', 2)]);
const request = (graph: Graph, said: Loss, inputs?: Record<string, string>): BuildRequest => ({
  model: { onnx: encodeModel(graph), inputs },
  loss: said,
  featureShape: [4],
  target: { kind: 'values', width: 2 },
  seed: 1,
  laneBatches: [N],
});
const floats = (bytes: Uint8Array) => new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
const batch = { features: uniform(N * 4, 3), targets: uniform(N * 2, 4) };

async function trained(built: ReturnType<typeof buildProgram>) {
  const { program, files } = built;
  const session = await openTraining(files.get(`training-${N}.onnx`)!, program, N);
  const into = new Float32Array(program.paramCount + program.bufferCount + 1);
  await session.run({ ...batch, params: floats(files.get('initial-params.f32')!), noise: [], into });
  await session.close();
  return into;
}
const weights = (built: ReturnType<typeof buildProgram>) => ({
  params: floats(built.files.get('initial-params.f32')!),
  buffers: floats(built.files.get('initial-buffers.f32')!),
});
const evaluated = async (built: ReturnType<typeof buildProgram>) => {
  const session = await openForward(built.files.get('forward.onnx')!, built.program);
  return session.run({ ...batch, ...weights(built), samples: N });
};

describe('a graph with a loss of its own', () => {
  const built = buildProgram(request(own, 'program'));

  it('trains as the same loss by name does', async () => {
    const [got, expected] = [await trained(built), await trained(buildProgram(request(plain, 'mse')))];
    expect(got).toHaveLength(31);
    got.forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 4));
  });

  it('is evaluated by its loss, and by what it predicts', async () => {
    const { outputs, lossSum } = await evaluated(built);
    const into = await trained(built);
    expect(lossSum).toBeCloseTo(into.at(-1)!, 4);
    const target = { kind: 'values', width: 2 } as const;
    const metrics = metricsOf(
      measure({ loss: 'program', target, outputs, outputShape: [2], targets: batch.targets, ownLossSum: lossSum }),
      'program',
      target,
    );
    expect(metrics.loss).toBeCloseTo(metrics.rmse! ** 2, 5);
  });

  it('is deployed without loss and targets, although its output takes a shape from them', async () => {
    const { params, buffers } = weights(built);
    const session = await openModel(inferenceModel(built.files.get('forward.onnx')!, built.program, params, buffers), [4]);
    const [answer, { outputs }] = [await session.run(batch.features, N), await evaluated(built)];
    expect(Array.from(answer)).toEqual(Array.from(outputs));
  });

  it.each<[string, Graph]>([
    ['nothing but its loss', graphOf([...forward, ...error], [x, t], [loss])],
    ['what depends on the targets', graphOf([...forward, ...error], [x, t], [loss, info('d', 'N', 2)])],
  ])('that outputs %s is measured by its loss alone, and not deployed', async (_what, graph) => {
    const only = buildProgram(request(graph, 'program'));
    const { outputs, lossSum } = await evaluated(only);
    expect(outputs).toHaveLength(0);
    const target = { kind: 'values', width: 2 } as const;
    const sums = measure({ loss: 'program', target, outputs, outputShape: [0], targets: batch.targets, ownLossSum: lossSum });
    expect(Object.keys(metricsOf(sums, 'program', target))).toEqual(['loss']);
    const { params, buffers } = weights(only);
    expect(() => inferenceModel(only.files.get('forward.onnx')!, only.program, params, buffers)).toThrow(/nothing but its own loss/);
  });

  it('finds its targets by name where several inputs lack a feature', async () => {
    const other = graphOf([node('Identity', ['u'], ['x']), ...forward, ...error], [info('u', 'N', 4), t], [loss, y]);
    expect(() => buildProgram(request(other, 'program'))).toThrow(/inputs 'u', 't' need features or targets; say which with model.inputs/);
    expect(await trained(buildProgram(request(other, 'program', { t: 'targets', u: 'x' })))).toEqual(await trained(built));
  });

  it.each<[string, BuildRequest, RegExp]>([
    ['without a loss to find', request(plain, 'program'), /outputs are 'p' \[N, 2\]; expected one of a single number/],
    ['under another loss', request(own, 'mse', { t: 'x' }), /'t' has shape \[N, 2\]; the data set's feature 'x' is \[N, 4\]/],
    [
      'over targets of another width',
      { ...request(own, 'program'), target: { kind: 'values', width: 3 } },
      /input 't' is \[N, 2\]; the data set has 3 target/,
    ],
    [
      'of one number under another loss',
      request(graphOf([...forward, node('ReduceMean', ['p'], ['loss'], { keepdims: int(0) })], [x], [loss]), 'mse'),
      /one number for 6 samples; where that is its own loss, say "loss": "program"/,
    ],
  ])('%s is refused', (_what, wrong, message) => {
    expect(() => buildProgram(wrong)).toThrow(message);
  });
});
