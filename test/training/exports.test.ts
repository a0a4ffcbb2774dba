/** @jest-environment ./test/support/native-arrays.ts */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import * as ort from 'onnxruntime-node';
import type { Loss } from '../../contracts/model';
import { Optimizer } from '../../contracts/optimizer';
import { gradientsOf } from '../../training/gradients';
import type { Feed } from '../../training/batch-loss';
import type { Gradients } from '../../training/gradients';
import { readModel, writeModel } from '../../training/onnx/raw';
import { slotCount, update } from '../../training/optimizers';
import { bitsAt, streamOf } from '../../training/random';
import { runGraph } from '../../training/runtime';
import type { SafeTensor } from '../../training/safetensors';

/*
 * Networks that PyTorch exported (fixtures/exports/make.py), by both of its exporters, against PyTorch in float64. Files
 * hold structure; weights, inputs and targets are numbers of a counter hash, the same there and here.
 */
jest.setTimeout(60_000);

interface Digest {
  readonly largest: number;
  readonly signed: number;
  readonly elements: readonly number[];
  /** How far PyTorch's own float32 is off, as a share of the largest. */
  readonly floor: number;
}
interface Numbers {
  readonly shape: readonly number[];
  /** Whole numbers below this; floats when left out. */
  readonly below?: number;
}
interface Network {
  readonly weights: Readonly<Record<string, { readonly shape: readonly number[]; readonly centre: number; readonly spread: number }>>;
  readonly inputs: Readonly<Record<string, Numbers>>;
  readonly targets: Numbers;
  readonly loss: Loss;
  /** Tied weights by the name that the newer exporter gives them. */
  readonly aliases: Readonly<Record<string, string>>;
  readonly expected: {
    readonly loss: number;
    readonly gradients: Readonly<Record<string, Digest>>;
    readonly statistics: Readonly<Record<string, readonly number[]>>;
    /** Losses over ten steps, and how far PyTorch's own float32 strays from them. */
    readonly curves: Readonly<Record<string, { readonly losses: readonly number[]; readonly floor: number }>>;
  };
}
const folder = join(__dirname, 'fixtures/exports');
const { models } = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as { models: Record<string, Network> };

const SEED = 11;
const size = (shape: readonly number[]) => shape.reduce((product, axis) => product * axis, 1);
/** A name as a word: FNV-1a of its bytes. */
const keyOf = (name: string) => [...Buffer.from(name)].reduce((word, byte) => Math.imul(word ^ byte, 0x01000193) >>> 0, 0x811c9dc5);
function uniform(count: number, ...key: number[]): number[] {
  const stream = streamOf(SEED, ...key);
  return Array.from({ length: count }, (_, i) => bitsAt(stream, i) / 2 ** 32);
}
const floats = (name: string, shape: readonly number[], centre: number, spread: number) =>
  Float32Array.from(uniform(size(shape), keyOf(name)), (u) => centre + spread * (2 * u - 1));

function tensorOf(name: string, key: string, { shape, below }: Numbers, centre: number, spread: number): SafeTensor {
  if (below === undefined) return { name: key, dtype: 'F32', shape, data: floats(`${name}/${key}`, shape, centre, spread) };
  const whole = uniform(size(shape), keyOf(`${name}/${key}`)).map((u) => BigInt(Math.floor(u * below)));
  return { name: key, dtype: 'I64', shape, data: BigInt64Array.from(whole) };
}

/** The export with its weights put in. */
function modelOf(name: string, route: string, { weights, aliases }: Network): Uint8Array {
  const raw = readModel(gunzipSync(readFileSync(join(folder, `${name}.${route}.onnx.gz`))));
  const original = new Map(Object.entries(aliases).map(([key, alias]) => [alias, key]));
  for (const tensor of raw.graph.initializer ?? []) {
    const key = original.get(tensor.name ?? '') ?? tensor.name ?? '';
    const weight = weights[key];
    if (weight) tensor.rawData = new Uint8Array(floats(`${name}/${key}`, weight.shape, weight.centre, weight.spread).buffer);
  }
  return writeModel(raw);
}

const requestOf = (name: string, route: string, network: Network) => ({
  onnx: modelOf(name, route, network),
  batch: new Map([
    ...Object.entries(network.inputs).map(([key, numbers]) => [key, tensorOf(name, key, numbers, 0, 2)] as const),
    ['targets', tensorOf(name, 'targets', network.targets, 0.5, 0.5)] as const,
  ]),
  targets: 'targets',
  loss: network.loss,
});

/** Differences as shares of the largest: of single elements, and of the sum with random signs, whose errors add up as √n. */
function errorsOf(key: string, got: ArrayLike<number>, { largest, signed, elements }: Digest): number[] {
  const places = uniform(Math.min(16, got.length), keyOf(key), 2).map((u) => Math.floor(u * got.length));
  const signs = uniform(got.length, keyOf(key), 1).map((u) => (u < 0.5 ? -1 : 1));
  const sum = signs.reduce((total, sign, i) => total + sign * got[i]!, 0);
  return [...places.map((place, i) => Math.abs(got[place]! - elements[i]!)), Math.abs(sum - signed) / Math.sqrt(got.length)].map(
    (value) => value / largest,
  );
}

function expectGradients(name: string, made: Gradients, { expected, aliases }: Network): void {
  const got = new Map(made.gradients.map((tensor) => [tensor.name, tensor.data as Float32Array]));
  const top = Math.max(...Object.values(expected.gradients).map(({ largest }) => largest));
  const wrong = Object.entries(expected.gradients).flatMap(([key, digest]): string[] => {
    const values = got.get(key) ?? got.get(aliases[key] ?? '');
    if (!values) return [`${key} is missing`];
    // What batch normalisation makes invariant has nothing but rounding for a gradient, on either side.
    if (digest.largest < 1e-9 * top) return values.every((value) => Math.abs(value) < 1e-5 * top) ? [] : [`${key} should be 0`];
    const worst = Math.max(...errorsOf(`${name}/${key}`, values, digest));
    const bound = Math.max(1e-5, 4 * digest.floor);
    return worst <= bound ? [] : [`${key}: off by ${worst}, expected at most ${bound}`];
  });
  expect(wrong).toEqual([]);
  expect(got.size).toBe(Object.keys(expected.gradients).length);
}

describe.each(Object.entries(models))('%s as PyTorch exports it', (name, network) => {
  it.each(['torchscript', 'dynamo'])('has the loss, gradients and running statistics of PyTorch in float64: %s', async (route) => {
    const made = await gradientsOf(requestOf(name, route, network), runGraph);
    const { expected } = network;
    expect(Math.abs(made.loss - expected.loss) / expected.loss).toBeLessThan(1e-5);
    expectGradients(name, made, network);
    expect(made.buffers.map((buffer) => buffer.name).sort()).toEqual(Object.keys(expected.statistics).sort());
    for (const { name: key, data } of made.buffers) {
      const wanted = expected.statistics[key]!;
      const scale = Math.max(...wanted.map(Math.abs));
      const worst = Math.max(...wanted.map((value, i) => Math.abs(value - Number(data[i])))) / scale;
      if (!(worst < 1e-5)) throw new Error(`${key}: off by ${worst}`);
    }
  });
});

describe('recomputation', () => {
  const bits = ({ loss, gradients, buffers }: Gradients) => [
    loss,
    ...[...gradients, ...buffers].map(({ name, data }) => `${name} ${Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64')}`),
  ];

  // Those in which anything is worth repeating.
  it.each([
    'resnet18',
    'mobilenet-v2',
    'mobilenet-v3',
    'efficientnet-b0',
    'densenet',
    'convnext',
    'vit',
    'swin',
    'u-net',
    'transformer-encoder',
    'gpt',
  ])('keeps every bit of the gradients of %s', async (name) => {
    const graphs: number[] = [];
    const run = (bytes: Uint8Array, feeds: Readonly<Record<string, Feed>>) => {
      graphs.push(readModel(bytes).graph.node?.length ?? 0);
      return runGraph(bytes, feeds);
    };
    const request = requestOf(name, 'torchscript', models[name]!);
    const [kept, again] = [await gradientsOf(request, run), await gradientsOf({ ...request, recompute: { boundBytes: undefined } }, run)];
    expect(graphs[1]).toBeGreaterThan(graphs[0]!);
    expect(bits(again)).toEqual(bits(kept));
  });
});

const optimizers: Readonly<Record<string, unknown>> = {
  sgd: { kind: 'sgd', learningRate: 0.01 },
  momentum: { kind: 'sgd', learningRate: 0.01, momentum: 0.9, nesterov: true },
  adam: { kind: 'adam', learningRate: 0.001 },
  adamw: { kind: 'adamw', learningRate: 0.001, weightDecay: 0.01 },
  adamax: { kind: 'adamax', learningRate: 0.001 },
  nadam: { kind: 'nadam', learningRate: 0.001 },
  radam: { kind: 'radam', learningRate: 0.001 },
  adagrad: { kind: 'adagrad', learningRate: 0.001 },
  adadelta: { kind: 'adadelta', learningRate: 0.1 },
  rmsprop: { kind: 'rmsprop', learningRate: 0.001 },
  lion: { kind: 'lion', learningRate: 0.0001, weightDecay: 0.01 },
};

/** A curve upon a kink: in PyTorch's float64, weights that differ by 1e-7 move it by up to 2e-3, in five of eight trials. */
const onKink: Readonly<Record<string, number>> = { 'mobilenet-v2 dynamo adam': 2e-4 };

/** The training graph that a request makes, in a session of its own. */
async function stepper(request: Parameters<typeof gradientsOf>[0]) {
  let graph = new Uint8Array();
  let feeds: Readonly<Record<string, Feed>> = {};
  let sum = 1;
  const { loss, gradients } = await gradientsOf(request, async (bytes, given) => {
    const results = await runGraph(bytes, given);
    [graph, feeds, sum] = [new Uint8Array(bytes), given, results['smlt.loss']![0]!];
    return results;
  });
  const count = Math.round(sum / loss);
  const session = await ort.InferenceSession.create(graph, { logSeverityLevel: 3, intraOpNumThreads: 1 });
  const params = gradients.map(({ name, shape }) => ({ name, shape, start: Float32Array.from(feeds[name]!.data as Float32Array) }));
  return {
    params,
    close: () => session.release(),
    async run(values: readonly Float32Array[]) {
      const all = Object.entries(feeds).filter(([name]) => session.inputNames.includes(name));
      const tensors = Object.fromEntries(all.map(([name, { type, shape, data }]) => [name, new ort.Tensor(type, data as Float32Array, shape)]));
      params.forEach(({ name, shape }, i) => (tensors[name] = new ort.Tensor('float32', values[i]!, shape)));
      const results = await session.run(tensors);
      return {
        loss: (results['smlt.loss']!.data[0] as number) / count,
        gradients: params.map(({ name }) => (results[`smlt.gradient/${name}`]!.data as Float32Array).map((value) => value / count)),
      };
    },
  };
}

describe.each(Object.entries(models))('training %s', (name, network) => {
  it.each(['torchscript', 'dynamo'])('loses as PyTorch in float64 does over 10 steps, with every optimiser: %s', async (route) => {
    const { params, run, close } = await stepper(requestOf(name, route, network));
    for (const [kind, { losses: wanted, floor }] of Object.entries(network.expected.curves)) {
      const rule = Optimizer.parse(optimizers[kind]);
      const values = params.map(({ start }) => start.slice());
      const slots = values.map(({ length }) => new Float32Array(length * slotCount(rule)));
      const losses: number[] = [];
      for (let step = 0; step < wanted.length; step++) {
        const { loss, gradients } = await run(values);
        losses.push(loss);
        values.forEach((each, i) => update(rule, { params: each, gradient: gradients[i]!, slots: slots[i]!, step, learningRate: rule.learningRate }));
      }
      const worst = Math.max(...wanted.map((value, i) => Math.abs(value - losses[i]!) / value));
      if (!(worst < Math.max(onKink[`${name} ${route} ${kind}`] ?? 1e-5, 4 * floor)))
        throw new Error(`${kind}: off by ${worst}, PyTorch's float32 by ${floor}\n got      ${losses.join(' ')}\n expected ${wanted.join(' ')}`);
    }
    await close();
  });
});
