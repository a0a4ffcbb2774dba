/** @jest-environment ./test/support/native-arrays.ts */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { ErrorCode } from '../../contracts/errors';
import { SmltError } from '../../contracts/errors';
import type { Layer } from '../../contracts/model';
import { blockProbeGraph, probeGraph } from '../../training/cpu-probe';
import { blockProbeModel, probeModel } from '../../training/cpu-probe-model';
import { decodeModel, encodeModel } from '../../training/onnx/codec';
import type { Graph, Node } from '../../training/onnx/graph';
import { float, floatTensor, int, ints, intTensor } from '../../training/onnx/graph';
import type { BuildRequest } from '../../training/prepare';
import { buildProgram, inferenceModel } from '../../training/prepare';
import { bitsAt, streamOf } from '../../training/random';
import { compileProgram } from '../support/child';
import { cpuClass, openForward, openModel, openTraining } from '../../training/runtime';

const layers: Layer[] = [
  { reshape: [1, 8, 8] },
  { conv2d: { filters: 4, kernel: 3, padding: 'same' } },
  'batchNorm',
  'relu',
  { maxPool2d: 2 },
  { dropout: 0.25 },
  'flatten',
  { dense: 16 },
  'gelu',
  { dense: 3 },
];
const request: BuildRequest = {
  model: { layers },
  loss: 'softmax-cross-entropy',
  featureShape: [64],
  target: { kind: 'class', classes: 3 },
  seed: 5,
  laneBatches: [6, 5, 6],
};
const floats = (bytes: Uint8Array): Float32Array => new Float32Array(new Uint8Array(bytes).buffer);
const random = (length: number, key: number): Float32Array => {
  const stream = streamOf(4_242, key);
  return Float32Array.from({ length }, (_, i) => bitsAt(stream, i) / 2 ** 31 - 1);
};

/** A program opened for one micro-batch size, with inputs for it. */
async function opened(built = buildProgram(request), samples = 6) {
  const { program, files } = built;
  const session = await openTraining(files.get(`training-${samples}.onnx`)!, program, samples);
  const inputs = {
    params: floats(files.get('initial-params.f32')!),
    features: random(samples * program.featureShape.reduce((a, b) => a * b, 1), 1),
    targets: Int32Array.from({ length: samples }, (_, i) => i % 3),
    noise: program.noise.map(({ elementsPerSample, rate }) =>
      Float32Array.from({ length: samples * elementsPerSample }, (_, i) => (i % 4 === 0 ? 0 : 1 / (1 - rate))),
    ),
    into: new Float32Array(program.paramCount + program.bufferCount + 1),
  };
  return { program, files, session, inputs };
}

describe('a program', () => {
  it('lays its parameters and running statistics out one after the other, without gaps', () => {
    const { program, files } = buildProgram(request);
    for (const [tensors, count] of [
      [program.params, program.paramCount],
      [program.buffers, program.bufferCount],
    ] as const) {
      let next = 0;
      for (const { offset, length, shape } of tensors) {
        expect(offset).toBe(next);
        expect(length).toBe(shape.reduce((a, b) => a * b, 1));
        next += length;
      }
      expect(next).toBe(count);
    }
    expect(program.params.map(({ name }) => name)).toEqual([
      'layer1.weight',
      'layer1.bias',
      'layer2.weight',
      'layer2.bias',
      'layer7.weight',
      'layer7.bias',
      'layer9.weight',
      'layer9.bias',
    ]);
    expect(program.buffers.map(({ name, momentum }) => [name, momentum])).toEqual([
      ['layer2.mean', 0.1],
      ['layer2.variance', 0.1],
    ]);
    expect(program.noise).toEqual([{ input: 'smlt.noise.0', node: 0, elementsPerSample: 64, shape: [4, 4, 4], rate: 0.25 }]);
    expect(program.trainingGraphs).toEqual({ 5: 'training-5.onnx', 6: 'training-6.onnx' });
    expect([...files.keys()].sort()).toEqual(['forward.onnx', 'initial-buffers.f32', 'initial-params.f32', 'training-5.onnx', 'training-6.onnx']);
    expect(program.forwardFlopsPerSample).toBe(2 * (4 * 9 * 64 + 64 * 16 + 16 * 3));
    expect(program.peakMemoryMib).toBeGreaterThan(0);
  });

  it('is the same bytes when built again, and has other initial parameters under another seed', () => {
    const [a, b, c] = [buildProgram(request), buildProgram(request), buildProgram({ ...request, seed: 6 })];
    for (const [name, bytes] of a.files) expect([name, b.files.get(name)]).toEqual([name, bytes]);
    expect(b.program).toEqual(a.program);
    expect(c.files.get('initial-params.f32')).not.toEqual(a.files.get('initial-params.f32'));
    expect(c.files.get('training-6.onnx')).toEqual(a.files.get('training-6.onnx'));
  });

  it('sums over samples: the parts of a micro-batch add up to the whole', async () => {
    const perSample: Layer[] = [{ dense: 8 }, 'layerNorm', 'tanh', { dense: 3 }];
    const built = buildProgram({ ...request, model: { layers: perSample }, laneBatches: [6, 3] });
    const { session, inputs } = await opened(built);
    await session.run(inputs);
    const half = await openTraining(built.files.get('training-3.onnx')!, built.program, 3);
    const sum = new Float32Array(inputs.into.length);
    for (const first of [0, 3]) {
      const into = new Float32Array(sum.length);
      const features = inputs.features.slice(first * 64, (first + 3) * 64);
      await half.run({ ...inputs, features, targets: inputs.targets.slice(first, first + 3), into });
      into.forEach((value, i) => (sum[i]! += value));
    }
    const scale = Math.max(...inputs.into.map(Math.abs));
    inputs.into.forEach((value, i) => expect(Math.abs(value - sum[i]!)).toBeLessThan(1e-6 * scale));
  });

  it('gives the same bits in every run, in a new session, after a run over NaN, and from an unaligned vector', async () => {
    const { program, session, inputs } = await opened();
    await session.run(inputs);
    const expected = inputs.into.slice();
    expect(expected.every(Number.isFinite)).toBe(true);
    const again = async (what: string, changes: Partial<typeof inputs> = {}, own = session) => {
      const into = new Float32Array(expected.length).fill(NaN);
      await own.run({ ...inputs, into, ...changes });
      expect([what, Buffer.from((changes.into ?? into).buffer, (changes.into ?? into).byteOffset, expected.byteLength)]).toEqual([
        what,
        Buffer.from(expected.buffer),
      ]);
    };
    await again('repeated');
    await session.run({ ...inputs, params: new Float32Array(program.paramCount).fill(NaN), into: new Float32Array(expected.length) });
    await again('after NaN');
    await again('new session', {}, (await opened()).session);
    const wide = new Float32Array(program.paramCount + 1);
    wide.set(inputs.params, 1);
    await again('unaligned parameters', { params: wide.subarray(1) });
    await again('unaligned result', { into: new Float32Array(expected.length + 1).subarray(1) });
  });

  it('gives zero gradient behind a dropped element and scales a kept one', async () => {
    const built = buildProgram({ ...request, model: { layers: [{ dropout: 0.5 }, { dense: { units: 3, bias: false } }] } });
    const { program, session, inputs } = await opened(built);
    const noise = [Float32Array.from({ length: 6 * 64 }, (_, i) => (i % 2 ? 2 : 0))];
    await session.run({ ...inputs, noise });
    const masked = inputs.features.map((value, i) => value * noise[0]![i]!);
    const plain = buildProgram({ ...request, model: { layers: [{ dropout: 0 }, { dense: { units: 3, bias: false } }] } });
    expect(plain.program.noise).toEqual([]);
    const other = await opened(plain);
    await other.session.run({ ...other.inputs, params: inputs.params, features: masked });
    expect(other.inputs.into).toEqual(inputs.into);
    expect(program.params[0]?.length).toBe(192);
    expect(inputs.into.subarray(0, 192).filter((_, i) => i % 2 === 0)).toEqual(new Float32Array(96));
  });

  it('takes labels 0 and 1 for bce-with-logits as it takes the values 0 and 1', async () => {
    const one = { ...request, model: { layers: [{ dense: 1 }] satisfies Layer[] }, loss: 'bce-with-logits' as const };
    const byClass = await opened(buildProgram({ ...one, target: { kind: 'class', classes: 2 } }));
    const byValue = await opened(buildProgram({ ...one, target: { kind: 'values', width: 1 } }));
    await byClass.session.run({ ...byClass.inputs, targets: Int32Array.from([0, 1, 1, 0, 1, 0]) });
    await byValue.session.run({ ...byValue.inputs, targets: Float32Array.from([0, 1, 1, 0, 1, 0]) });
    expect(byClass.inputs.into).toEqual(byValue.inputs.into);
    expect(byClass.inputs.into.at(-1)).toBeGreaterThan(0);
  });

  it('has a finite loss and gradient at logits that would overflow an exponential', async () => {
    for (const [loss, target, units] of [
      ['softmax-cross-entropy', { kind: 'class', classes: 3 }, 3],
      ['bce-with-logits', { kind: 'values', width: 3 }, 3],
    ] as const) {
      const { session, inputs } = await opened(buildProgram({ ...request, model: { layers: [{ dense: units }] }, loss, target }));
      const targets = target.kind === 'class' ? inputs.targets : new Float32Array(18).fill(1);
      await session.run({ ...inputs, targets, params: inputs.params.map((value) => value * 1e4) });
      expect(inputs.into.every(Number.isFinite)).toBe(true);
    }
  });

  it('predicts the same through the forward graph and the exported model, for any number of samples', async () => {
    const { program, files } = buildProgram(request);
    const [params, buffers] = [floats(files.get('initial-params.f32')!), floats(files.get('initial-buffers.f32')!)];
    const forward = await openForward(files.get('forward.onnx')!, program);
    const model = await openModel(inferenceModel(files.get('forward.onnx')!, program, params, buffers), program.featureShape);
    for (const samples of [1, 7]) {
      const features = random(samples * 64, samples);
      const { outputs } = await forward.run({ params, buffers, features, samples });
      expect(outputs).toHaveLength(samples * 3);
      const exported = await model.run(features, samples);
      outputs.forEach((value, i) => expect(exported[i]).toBeCloseTo(value, 5));
    }
  });

  it('trains a small convolutional net to a low loss by plain gradient descent', async () => {
    const { program, session, inputs } = await opened(buildProgram({ ...request, laneBatches: [48] }), 48);
    const noise = program.noise.map(({ elementsPerSample }) => new Float32Array(48 * elementsPerSample).fill(1));
    // The class is the third of the image with the brightest stripe.
    for (let n = 0; n < 48; n++)
      for (let i = 0; i < 64; i++) inputs.features[n * 64 + i] = inputs.features[n * 64 + i]! * 0.3 + (Math.floor((i % 8) / 3) === n % 3 ? 1 : 0);
    const losses: number[] = [];
    for (let step = 0; step < 60; step++) {
      await session.run({ ...inputs, noise });
      losses.push(inputs.into.at(-1)! / 48);
      for (let p = 0; p < program.paramCount; p++) inputs.params[p] = inputs.params[p]! - (0.2 / 48) * inputs.into[p]!;
    }
    expect(losses[0]).toBeGreaterThan(0.5);
    expect(losses.at(-1)).toBeLessThan(0.05);
  });
});

/** An exported model: opset 17, shape arithmetic, axes as attributes, batch norm and dropout as an exporter leaves them. */
function exported(changes: Partial<Graph> = {}): Graph {
  const node = (op: string, inputs: string[], outputs: string[], attributes: Node['attributes'] = {}): Node => ({
    op,
    domain: '',
    name: `/${op}_${outputs[0]}`,
    inputs,
    outputs,
    attributes,
  });
  return {
    name: 'exported',
    opset: 17,
    inputs: [{ name: 'x', type: 'float32', shape: ['batch', 2, 6] }],
    outputs: [{ name: 'y', type: 'float32', shape: ['batch', 3] }],
    initializers: new Map([
      ['fc.weight', floatTensor([12, 5], random(60, 8))],
      ['fc.bias', floatTensor([5], random(5, 9))],
      ['bn.weight', floatTensor([5], [1, 1.5, 0.5, 1, 2])],
      ['bn.bias', floatTensor([5], [0, 0.1, -0.1, 0, 0])],
      ['bn.running_mean', floatTensor([5], [0, 0, 0, 0, 0])],
      ['bn.running_var', floatTensor([5], [1, 1, 1, 1, 1])],
      ['out.weight', floatTensor([3, 5], random(15, 10))],
      ['unused', floatTensor([2], [1, 2])],
      ['zero', intTensor([], [0])],
      ['twelve', intTensor([1], [12])],
    ]),
    nodes: [
      node('Shape', ['x'], ['shape']),
      node('Gather', ['shape', 'zero'], ['n'], { axis: int(0) }),
      node('Unsqueeze', ['n', 'axes0'], ['n1']),
      node('Concat', ['n1', 'twelve'], ['wanted'], { axis: int(0) }),
      node('Reshape', ['x', 'wanted'], ['flat']),
      node('MatMul', ['flat', 'fc.weight'], ['fc']),
      node('Add', ['fc', 'fc.bias'], ['h']),
      node('BatchNormalization', ['h', 'bn.weight', 'bn.bias', 'bn.running_mean', 'bn.running_var'], ['hn', 'm', 'v'], {
        epsilon: float(Math.fround(1e-5)),
        momentum: float(Math.fround(0.8)),
        training_mode: int(1),
      }),
      node('Relu', ['hn'], ['r']),
      node('Dropout', ['r', 'ratio'], ['d']),
      node('ReduceMean', ['d'], ['mean'], { axes: ints([-1]), keepdims: int(1) }),
      node('Sub', ['d', 'mean'], ['c']),
      node('Gemm', ['c', 'out.weight'], ['y'], { transB: int(1) }),
    ],
    ...changes,
  };
}
const withInputs = (graph: Graph): Graph => ({
  ...graph,
  initializers: new Map([...graph.initializers, ['axes0', intTensor([1], [0])], ['ratio', floatTensor([], [0.5])]]),
});
const importRequest = (graph: Graph): BuildRequest => ({ ...request, model: { onnx: encodeModel(withInputs(graph)) }, featureShape: [2, 6] });

describe('an imported ONNX graph', () => {
  it('trains its float initialisers, but neither running statistics nor what the loss does not see', () => {
    const { program } = buildProgram(importRequest(exported()));
    expect(program.params.map(({ name }) => name)).toEqual(['fc.weight', 'fc.bias', 'bn.weight', 'bn.bias', 'out.weight']);
    expect(program.buffers.map(({ name, momentum }) => [name, momentum])).toEqual([
      ['bn.running_mean', 0.2],
      ['bn.running_var', 0.2],
    ]);
    expect(program.noise).toEqual([expect.objectContaining({ elementsPerSample: 5, rate: 0.5 })]);
  });

  it.each([13, 17])('folds its shape arithmetic away, trains, and predicts with running statistics, from operator set %i', async (opset) => {
    const built = buildProgram(importRequest(exported({ opset })));
    const { program, files, session, inputs } = await opened(built);
    expect(decodeModel(files.get('training-6.onnx')!).nodes.map(({ op }) => op)).not.toContain('Shape');
    await session.run(inputs);
    expect(inputs.into.every(Number.isFinite)).toBe(true);
    const h = 1e-2;
    const at = program.params.find(({ name }) => name === 'out.weight')!.offset;
    const lossWith = async (change: number) => {
      const into = new Float32Array(inputs.into.length);
      await session.run({ ...inputs, params: inputs.params.with(at, inputs.params[at]! + change), into });
      return into.at(-1)!;
    };
    expect(((await lossWith(h)) - (await lossWith(-h))) / (2 * h)).toBeCloseTo(inputs.into[at]!, 2);
    const forward = await openForward(files.get('forward.onnx')!, program);
    const { outputs } = await forward.run({
      params: inputs.params,
      buffers: floats(files.get('initial-buffers.f32')!),
      features: inputs.features,
      samples: 6,
    });
    expect(outputs).toHaveLength(18);
  });

  it('survives encoding and decoding, and owns its tensors', () => {
    const bytes = encodeModel(withInputs(exported()));
    const graph = decodeModel(bytes);
    expect(graph).toMatchObject(withInputs(exported()));
    const weight = graph.initializers.get('fc.weight')!.data.slice();
    bytes.fill(0);
    expect(graph.initializers.get('fc.weight')!.data).toEqual(weight);
    const far = exported({ nodes: [{ ...exported().nodes[0]!, attributes: { end: int(Number(2n ** 63n - 1n)) } }, ...exported().nodes.slice(1)] });
    expect(
      decodeModel(encodeModel({ ...far, nodes: far.nodes.map((node) => ({ ...node, attributes: { ...node.attributes, big: int(2 ** 62) } })) }))
        .nodes[1]?.attributes.big,
    ).toEqual(int(2 ** 62));
  });
});

describe('what cannot train is refused before anything runs', () => {
  const refusal = (change: Partial<BuildRequest>): { code: ErrorCode; message: string } => {
    try {
      buildProgram({ ...request, ...change });
    } catch (error) {
      if (error instanceof SmltError) return { code: error.code, message: error.message };
      throw error;
    }
    throw new Error('was accepted');
  };
  const imported = (graph: Graph) => importRequest(graph);

  it.each<[string, Partial<BuildRequest>, ErrorCode, RegExp]>([
    ['a last layer of the wrong width', { model: { layers: [{ dense: 4 }] } }, 'InvalidSpec', /\[N, 4\].*expected \[N, 3\].*"dense": 3/],
    ['classes with mse', { loss: 'mse' }, 'InvalidSpec', /classes, not values/],
    ['values with cross entropy', { target: { kind: 'values', width: 4 } }, 'InvalidSpec', /needs class labels/],
    ['the wrong number of values', { loss: 'mse', target: { kind: 'values', width: 2 } }, 'InvalidSpec', /expected 2 value/],
    ['dense over an image', { featureShape: [1, 8, 8], model: { layers: [{ dense: 3 }] } }, 'InvalidSpec', /layer0: dense expects \[N, F\].*flatten/],
    ['conv2d over a vector', { model: { layers: [{ conv2d: { filters: 2, kernel: 3 } }] } }, 'InvalidSpec', /layer0: conv2d.*reshape/],
    ['a window larger than the image', { model: { layers: [{ reshape: [1, 8, 8] }, { maxPool2d: 9 }] } }, 'InvalidSpec', /layer1: maxPool2d/],
    ['a reshape that does not fit', { model: { layers: [{ reshape: [3, 3] }] } }, 'InvalidSpec', /layer0: reshape expects 9/],
    ['a residual that changes the shape', { model: { layers: [{ residual: [{ dense: 3 }] }] } }, 'InvalidSpec', /layer0: residual/],
    ['a model without parameters', { model: { layers: ['relu'] }, featureShape: [3] }, 'InvalidSpec', /nothing to train/],
    ['batch norm over one value', { model: { layers: ['batchNorm', { dense: 3 }] }, laneBatches: [1] }, 'InvalidSpec', /one value a channel/],
    ['bytes that are no ONNX', { model: { onnx: Uint8Array.from([1, 2, 3, 255]) } }, 'InvalidModel', /cannot be decoded/],
    ['an empty file', { model: { onnx: new Uint8Array() } }, 'InvalidModel', /no graph/],
    ['a file cut short', { model: { onnx: encodeModel(exported()).subarray(0, 300) } }, 'InvalidModel', /decoded|elements|no graph/],
    [
      'an operator without a rule',
      imported(exported({ nodes: exported().nodes.map((node) => (node.op === 'Relu' ? { ...node, op: 'ReluX' } : node)) })),
      'UnsupportedOperator',
      /operator ReluX of node '\/Relu_r'.*nearest supported form.*Relu/,
    ],
    [
      "another vendor's operator",
      imported(exported({ nodes: exported().nodes.map((node) => (node.op === 'Relu' ? { ...node, domain: 'com.example' } : node)) })),
      'UnsupportedOperator',
      /com\.example\.Relu/,
    ],
    ['features of another shape', { ...imported(exported()), featureShape: [2, 7] }, 'InvalidSpec', /'x'.*\[N, 2, 7\]/],
    ['an old operator set', imported(exported({ opset: 11 })), 'InvalidModel', /operator set 11/],
    ['nodes out of order', imported(exported({ nodes: exported().nodes.toReversed() })), 'InvalidModel', /before it is used/],
  ])('%s', (_what, change, code, message) => {
    const refused = refusal(change);
    expect(refused.message).toMatch(message);
    expect(refused.code).toBe(code);
  });

  it('a micro-batch whose data has another size', async () => {
    const { session, inputs } = await opened();
    await expect(session.run({ ...inputs, features: new Float32Array(10) })).rejects.toThrow(
      /features of a micro-batch of 6: expected 384 elements, got 10/,
    );
  });
});

describe('the CPU class', () => {
  it('is the digest of graphs that are what the source says', async () => {
    expect(Buffer.from(encodeModel(probeGraph())).toString('base64')).toBe(probeModel);
    expect(Buffer.from(encodeModel(blockProbeGraph())).toString('base64')).toBe(blockProbeModel);
    expect(await cpuClass()).toMatch(/^[0-9a-f]{16}$/);
  });
});

describe('a process', () => {
  it('computes the same gradient bits as another', async () => {
    const script = compileProgram(join(__dirname, 'gradient-digest.ts'));
    const digests = [1, 2].map(() => execFileSync(process.execPath, [script], { encoding: 'utf8' }).trim());
    expect(digests[0]).toMatch(/^[0-9a-f]{64}$/);
    expect(digests[1]).toBe(digests[0]);
  });
});
