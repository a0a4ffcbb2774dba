import { createHash } from 'node:crypto';
import * as ort from 'onnxruntime-node';
import { SmltError } from '../contracts/errors';
import type { Program } from '../contracts/program';
import type { Feed } from './batch-loss';
import { CHANNEL_BLOCK } from './channel-blocks';
import { blockProbeModel, probeModel } from './cpu-probe-model';

/**
 * Runs prepared graphs; the only file that loads onnxruntime-node.
 * 1. One thread and a fixed order of nodes: the same inputs give the same bits, in any process.
 * 2. Parameters go in as views of the flat vector, and gradients come out into views of the caller's.
 * 3. Views whose base is not aligned to 16 bytes are copied first: vectorised sums must not depend on an address.
 * 4. Tensors are freed after their last use. ONNX Runtime's memory pattern would plan a second block of all of them beside the
 *    arena of the first run: twice the memory for no time (docs/decisions/0021).
 */
const sessionOptions: ort.InferenceSession.SessionOptions = {
  graphOptimizationLevel: 'all',
  executionMode: 'sequential',
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  enableMemPattern: false,
  extra: { session: { 'intra_op.allow_spinning': '0', 'inter_op.allow_spinning': '0' } },
  logSeverityLevel: 3,
};
/**
 * Fusions that compute the same by other roundings where a value has one reader only. Whether it has depends on what the
 * backward pass reads, so on whether it is computed again: left in, recomputation would change bits.
 */
const unlikeFusions = [
  ...['GeluFusionL1', 'GeluFusionL2', 'BiasGeluFusion', 'FastGeluFusion', 'QuickGeluFusion'],
  ...['LayerNormFusionL1', 'LayerNormFusionL2', 'SimplifiedLayerNormFusion', 'SkipLayerNormFusion'],
  // Turns sums over an axis about where what they read has one reader; it comes under two names.
  ...['TransposeOptimizer', 'TransposeOptimizer_CPUExecutionProvider'],
  ...['MatMulScaleFusion', 'DivMulFusion', 'BiasSoftmaxFusion'],
];
const trainingOptions: ort.InferenceSession.SessionOptions = {
  ...sessionOptions,
  extra: { ...sessionOptions.extra, optimization: { disable_specified_optimizers: unlikeFusions.join(';') } },
};
type Feeds = Record<string, ort.Tensor>;
type RuntimeProgram = Pick<Program, 'params' | 'paramCount' | 'buffers' | 'bufferCount' | 'featureShape' | 'target' | 'noise'>;

const ALIGNMENT_BYTES = 16;
const aligned = (vector: Float32Array): Float32Array => (vector.byteOffset % ALIGNMENT_BYTES === 0 ? vector : new Float32Array(vector));

const tensor = (data: Float32Array | Int32Array, shape: readonly number[]): ort.Tensor =>
  data instanceof Float32Array ? new ort.Tensor('float32', data, shape) : new ort.Tensor('int32', data, shape);

/**
 * Runs with the results written into the caller's views, and nowhere else. onnxruntime-node would copy every result into a
 * buffer of its own afterwards, also where it has just written it into the caller's: megabytes of fresh memory a step. It
 * cannot copy what is no tensor, and says so when the run is over: an output of that kind, asked for first, leaves all
 * others where they are (docs/decisions/0036).
 */
async function runInto(session: ort.InferenceSession, feeds: Feeds, results: Feeds): Promise<void> {
  try {
    await session.run(feeds, { ...results, [WRITTEN]: null });
  } catch (error) {
    if (!(error as Error).message.startsWith('Non tensor type')) throw error;
  }
}
/** `graphNames.written`, without loading what makes graphs. */
const WRITTEN = 'smlt.written';

interface Named {
  readonly name: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly length: number;
}

/** The named tensors of a flat vector, made once for each vector that comes along: callers recycle theirs. */
function viewer(tensors: readonly Named[], nameOf: (name: string) => string, start = 0) {
  const known = new WeakMap<Float32Array, Feeds>();
  return (vector: Float32Array): Feeds => {
    let views = known.get(vector);
    if (!views) {
      views = Object.fromEntries(
        tensors.map(({ name, shape, offset, length }) => [nameOf(name), tensor(vector.subarray(start + offset, start + offset + length), shape)]),
      );
      known.set(vector, views);
    }
    return views;
  };
}

async function open(graph: Uint8Array, what: string): Promise<ort.InferenceSession> {
  try {
    return await ort.InferenceSession.create(graph, what === 'training' ? trainingOptions : sessionOptions);
  } catch (error) {
    throw new SmltError('InvalidModel', `ONNX Runtime refuses the ${what} graph: ${(error as Error).message}`, { cause: error });
  }
}

/** The one input of a graph that is neither a parameter nor anything else that has a name. */
function featureInput(session: ort.InferenceSession, others: ReadonlySet<string>): string {
  const name = session.inputNames.find((input) => !others.has(input) && !input.startsWith('smlt.'));
  if (name === undefined) throw new SmltError('InvalidModel', `the graph has no input for features, only ${session.inputNames.join(', ')}`);
  return name;
}

export interface TrainingInput {
  readonly params: Float32Array;
  readonly features: Float32Array;
  readonly targets: Float32Array | Int32Array;
  /** One mask for each of the program's noise inputs, in its order. */
  readonly noise: readonly Float32Array[];
  /** `[gradient (P) | buffer statistics x samples (Q) | loss sum (1)]`, overwritten. */
  readonly into: Float32Array;
}

export interface TrainingSession {
  readonly samples: number;
  /** Writes gradient sums over the samples, batch statistics times samples, and the loss sum. */
  run(input: TrainingInput): Promise<void>;
  close(): Promise<void>;
}

/** @throws {SmltError} `InvalidModel` when ONNX Runtime refuses the graph. */
export async function openTraining(graph: Uint8Array, program: RuntimeProgram, samples: number): Promise<TrainingSession> {
  const session = await open(graph, 'training');
  const { params, buffers, paramCount, bufferCount, target, featureShape, noise } = program;
  const input = featureInput(session, new Set(params.map(({ name }) => name)));
  const taken = new Set(session.inputNames);
  const paramViews = viewer(params, (name) => name);
  const gradientViews = viewer(params, (name) => `smlt.gradient/${name}`);
  const statisticViews = viewer(buffers, (name) => `smlt.statistic/${name}`, paramCount);
  const targetShape = target.kind === 'class' ? [samples] : [samples, target.width];
  const length = paramCount + bufferCount + 1;
  const results = new WeakMap<Float32Array, Feeds>();
  const resultViews = (into: Float32Array): Feeds => {
    let views = results.get(into);
    if (!views) {
      views = { ...gradientViews(into), ...statisticViews(into), 'smlt.loss': tensor(into.subarray(length - 1, length), []) };
      results.set(into, views);
    }
    return views;
  };
  const check = (what: string, got: number, expected: number) => {
    if (got !== expected) throw new SmltError('BadData', `${what} of a micro-batch of ${samples}: expected ${expected} elements, got ${got}`);
  };

  return {
    samples,
    async run({ params: values, features, targets, noise: masks, into }) {
      check('parameters', values.length, paramCount);
      check('features', features.length, samples * featureShape.reduce((product, axis) => product * axis, 1));
      check(
        'targets',
        targets.length,
        targetShape.reduce((product, axis) => product * axis, 1),
      );
      check('the result vector', into.length, length);
      const feeds: Feeds = {
        ...paramViews(aligned(values)),
        [input]: tensor(aligned(features), [samples, ...featureShape]),
        'smlt.targets': tensor(targets, targetShape),
      };
      noise.forEach(({ input: name, shape, elementsPerSample }, i) => {
        const mask = masks[i] ?? new Float32Array(0);
        check(`dropout mask ${name}`, mask.length, samples * elementsPerSample);
        feeds[name] = tensor(aligned(mask), [samples, ...shape]);
      });
      // What folding or optimisation proved unneeded is no input any more.
      for (const name of Object.keys(feeds)) if (!taken.has(name)) delete feeds[name];
      await runInto(session, feeds, resultViews(into));
    },
    close: () => session.release(),
  };
}

export interface ForwardInput {
  readonly params: Float32Array;
  readonly buffers: Float32Array;
  readonly features: Float32Array;
  readonly samples: number;
  /** For a graph that computes its own loss. */
  readonly targets?: Float32Array | Int32Array;
}

export interface ForwardSession {
  /** Raw outputs `[samples, width]`, flat; the loss times the samples where the graph computes its own. */
  run(input: ForwardInput): Promise<{ outputs: Float32Array; lossSum?: number | undefined }>;
  close(): Promise<void>;
}

/** Opens a forward graph that takes its weights with every run. */
export async function openForward(graph: Uint8Array, program: RuntimeProgram): Promise<ForwardSession> {
  const session = await open(graph, 'forward');
  const { params, buffers, featureShape, target } = program;
  const input = featureInput(session, new Set([...params, ...buffers].map(({ name }) => name)));
  const output = session.outputNames.find((name) => name !== 'smlt.loss');
  const paramViews = viewer(params, (name) => name);
  const bufferViews = viewer(buffers, (name) => name);
  const taken = new Set(session.inputNames);
  return {
    async run({ params: values, buffers: statistics, features, samples, targets }) {
      const all: Feeds = {
        ...paramViews(aligned(values)),
        ...bufferViews(aligned(statistics)),
        [input]: tensor(aligned(features), [samples, ...featureShape]),
        ...(targets && { 'smlt.targets': tensor(targets, target.kind === 'class' ? [samples] : [samples, target.width]) }),
      };
      const feeds = Object.fromEntries(Object.entries(all).filter(([name]) => taken.has(name)));
      const results = await session.run(feeds);
      const mean = results['smlt.loss']?.data[0] as number | undefined;
      return {
        outputs: output === undefined ? new Float32Array(0) : (results[output]?.data as Float32Array),
        lossSum: mean === undefined ? undefined : mean * samples,
      };
    },
    close: () => session.release(),
  };
}

export interface ModelSession {
  run(features: Float32Array, samples: number): Promise<Float32Array>;
  close(): Promise<void>;
}

/** Opens an exported inference model, whose only input is the features. */
export async function openModel(model: Uint8Array, featureShape: readonly number[]): Promise<ModelSession> {
  const session = await open(model, 'inference');
  const [input = '', output = ''] = [session.inputNames[0], session.outputNames[0]];
  return {
    async run(features, samples) {
      const results = await session.run({ [input]: tensor(aligned(features), [samples, ...featureShape]) }, [output]);
      return results[output]?.data as Float32Array;
    },
    close: () => session.release(),
  };
}

/**
 * Runs a graph once and gives all its outputs. What it has no input for is left out.
 * @throws {SmltError} `InvalidModel` when ONNX Runtime refuses the graph or fails in it
 */
export async function runGraph(graph: Uint8Array, feeds: Readonly<Record<string, Feed>>): Promise<Record<string, Float32Array>> {
  const session = await open(graph, 'training');
  try {
    const taken = new Set(session.inputNames);
    const tensors = Object.entries(feeds).flatMap(([name, { type, shape, data }]) =>
      taken.has(name) ? [[name, new ort.Tensor(type, data as Float32Array, shape)] as const] : [],
    );
    const results = await session.run(Object.fromEntries(tensors));
    return Object.fromEntries(session.outputNames.map((name) => [name, results[name]?.data as Float32Array]));
  } catch (error) {
    throw new SmltError('InvalidModel', `ONNX Runtime fails in the training graph: ${(error as Error).message}`, { cause: error });
  } finally {
    await session.release();
  }
}

let cpuClassOfProcess: Promise<string> | undefined;
let blocksOfProcess: ReturnType<typeof probeBlocks> | undefined;

/** Names the CPU by what it computes: hosts of one class give the same bits. */
export function cpuClass(): Promise<string> {
  return (cpuClassOfProcess ??= probeClass());
}

/** True where graphs in the blocked layout run (channel-blocks.ts). */
export async function hasChannelBlocks(): Promise<boolean> {
  return (await (blocksOfProcess ??= probeBlocks())) !== undefined;
}

type Outputs = readonly Float32Array[];

async function probeClass(): Promise<string> {
  const { outputs } = await probe(probeModel);
  const blocks = await (blocksOfProcess ??= probeBlocks());
  const hash = createHash('sha256');
  for (const data of [...outputs, ...(blocks ?? [])]) hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return hash.digest('hex').slice(0, 16);
}

/** What the probe of the blocked layout computes; undefined where blocks have another size, or ONNX Runtime has none. */
async function probeBlocks(): Promise<Outputs | undefined> {
  if (process.arch !== 'x64') return undefined; // not tried on others
  const probed = await probe(blockProbeModel).catch(() => undefined);
  if (!probed) return undefined;
  const { inputs, outputs } = probed;
  const [plain, blocks] = [inputs[0] as Float32Array, outputs[0] as Float32Array];
  const places = 25;
  return blocks[1] === plain[places] && blocks[CHANNEL_BLOCK] === plain[1] ? outputs : undefined;
}

/** Runs one of cpu-probe.ts's graphs. */
async function probe(model: string): Promise<{ inputs: Outputs; outputs: Outputs }> {
  const session = await open(Buffer.from(model, 'base64'), 'CPU probe');
  const feeds = session.inputMetadata.map((input, i) => {
    const shape = input.isTensor ? input.shape.map(Number) : [];
    const size = shape.reduce((product, axis) => product * axis, 1);
    // Integers scaled by a power of two: exact, so that only the kernels can differ.
    const data = Float32Array.from({ length: size }, (_, at) => ((at * 2_654_435_761 + i) % 8_191) / 4_096 - 1);
    return [input.name, tensor(data, shape)] as const;
  });
  const results = await session.run(Object.fromEntries(feeds));
  await session.release();
  return {
    inputs: feeds.map(([, { data }]) => data as Float32Array),
    outputs: session.outputNames.map((name) => results[name]?.data as Float32Array),
  };
}
