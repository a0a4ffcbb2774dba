import { SmltError } from '../contracts/errors';
import type { Layer, Loss } from '../contracts/model';
import type { Program } from '../contracts/program';
import { blockElements } from './cut';
import { differentiate } from './differentiate';
import { peakLiveBytes } from './estimate';
import type { FixedGraph } from './fix-batch';
import { fixBatch } from './fix-batch';
import { elementsOf } from './graph-writer';
import { forwardGraph } from './layers/forward-graph';
import type { Target } from './losses';
import { targetInput, writeLoss } from './losses';
import { decodeModel, encodeModel } from './onnx/codec';
import type { Graph, Node, Tensor } from './onnx/graph';
import { numbersOf, sizeOf } from './onnx/graph';
import type { Value } from './shapes';
import { show } from './shapes';
import type { TrainingForm } from './training-form';
import { graphNames, inferenceForm, trainingForm } from './training-form';

/** A program before it is stored: without digest, and with file names where the stored one has object names. */
export type ProgramDraft = Omit<Program, 'digest'>;

export interface BuildRequest {
  readonly model: { readonly layers: readonly Layer[] } | { readonly onnx: Uint8Array };
  readonly loss: Loss;
  /** Shape of one sample's features. */
  readonly featureShape: readonly number[];
  readonly target: Target;
  readonly seed: number;
  /** Micro-batch sizes of the lanes; one training graph each. */
  readonly laneBatches: readonly number[];
}

const OLDEST_OPSET = 13;
const MIB = 1 << 20;
/** Flat vectors that a worker holds at once: parameters, optimiser state, and partial sums along the tree. */
const VECTORS = 8;

/**
 * Turns a model and a loss into graphs that train: one for each micro-batch size, and the forward graph. Pure: the
 * caller stores the files and names the program.
 * @throws {SmltError} `InvalidModel`, `InvalidSpec` or `UnsupportedOperator`, saying which node or layer and what to do
 */
export function buildProgram(request: BuildRequest): { program: ProgramDraft; files: Map<string, Uint8Array> } {
  const { loss, featureShape, target, seed } = request;
  const source = 'layers' in request.model ? forwardGraph(request.model.layers, featureShape, seed) : imported(request.model.onnx, featureShape);
  const form = trainingForm(source);
  const files = new Map<string, Uint8Array>();

  const batches = [...new Set(request.laneBatches)].sort((a, b) => b - a);
  if (batches.length === 0) throw new SmltError('InvalidSpec', 'no lane has samples: expected at least one micro-batch size');
  const built = batches.map((samples) => ({ samples, ...trainingGraph(form, { samples, featureShape, loss, target }) }));
  const first = built[0] as (typeof built)[number];
  const trainingGraphs: Record<string, string> = {};
  for (const { samples, graph } of built) {
    const file = `training-${samples}.onnx`;
    files.set(file, encodeModel(graph));
    trainingGraphs[samples] = file;
  }

  const params = layout(first.params.map((name) => [name, tensorOf(source, name)]));
  const buffers = layout(form.buffers.map(({ name }) => [name, tensorOf(source, name)]));
  const variable = new Set([...params.tensors, ...buffers.tensors].map(({ name }) => name));
  files.set('forward.onnx', encodeModel(inferenceForm(source, variable)));
  files.set('initial-params.f32', bytesOf(params.values));
  files.set('initial-buffers.f32', bytesOf(buffers.values));

  const vector = params.values.length + buffers.values.length + 1;
  const program: ProgramDraft = {
    formatVersion: 1,
    loss,
    params: params.tensors,
    paramCount: params.values.length,
    buffers: buffers.tensors.map((tensor, i) => ({ ...tensor, momentum: form.buffers[i]?.momentum ?? 0.1 })),
    bufferCount: buffers.values.length,
    blockElements: blockElements(params.values.length),
    featureShape: [...featureShape],
    target,
    noise: first.noise,
    trainingGraphs,
    forwardGraph: 'forward.onnx',
    initialParams: 'initial-params.f32',
    initialBuffers: 'initial-buffers.f32',
    peakMemoryMib: Math.ceil(((first.liveBytes + VECTORS * vector * 4) / MIB) * 10) / 10,
    forwardFlopsPerSample: first.flops / first.samples,
  };
  return { program, files };
}

/** A forward graph with trained weights in it: what is deployed. */
export function inferenceModel(
  forward: Uint8Array,
  program: Pick<Program, 'params' | 'buffers'>,
  params: Float32Array,
  buffers: Float32Array,
): Uint8Array {
  const graph = decodeModel(forward);
  const weights = new Map<string, Tensor>();
  for (const [tensors, values] of [[program.params, params] as const, [program.buffers, buffers] as const])
    for (const { name, shape, offset, length } of tensors) weights.set(name, { type: 'float32', shape, data: values.slice(offset, offset + length) });
  return encodeModel({
    ...graph,
    initializers: new Map([...graph.initializers, ...weights]),
    inputs: graph.inputs.filter(({ name }) => !weights.has(name)),
  });
}

const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

function tensorOf(graph: Graph, name: string): Tensor {
  const tensor = graph.initializers.get(name);
  if (!tensor) throw new SmltError('InvalidModel', `'${name}' is no initialiser`);
  return tensor;
}

/** Puts tensors one after the other into a flat vector. */
function layout(named: readonly (readonly [string, Tensor])[]) {
  let offset = 0;
  const tensors = named.map(([name, { shape }]) => {
    const tensor = { name, shape: [...shape], offset, length: sizeOf(shape) };
    offset += tensor.length;
    return tensor;
  });
  const values = new Float32Array(offset);
  named.forEach(([, tensor], i) => values.set(numbersOf(tensor), tensors[i]?.offset ?? 0));
  return { tensors, values };
}

/** Decodes an exported model, and checks that the data set fits its input. */
function imported(bytes: Uint8Array, featureShape: readonly number[]): Graph {
  const graph = decodeModel(bytes);
  if (graph.opset < OLDEST_OPSET)
    throw new SmltError(
      'InvalidModel',
      `the ONNX model uses operator set ${graph.opset}; expected ${OLDEST_OPSET} or newer; export it with a newer one`,
    );
  const [input, ...others] = graph.inputs;
  if (!input || others.length > 0)
    throw new SmltError(
      'InvalidModel',
      `the ONNX model has ${graph.inputs.length} inputs (${graph.inputs.map(({ name }) => name).join(', ')}); expected one`,
    );
  if (input.type !== 'float32')
    throw new SmltError('InvalidModel', `input '${input.name}' has type ${input.type}; expected float32, as the data set's features`);
  const own = input.shape?.slice(1) ?? featureShape;
  const fits = own.length === featureShape.length && own.every((axis, i) => typeof axis === 'string' || axis === featureShape[i]);
  if (!fits || input.shape?.length === 0)
    throw new SmltError(
      'InvalidSpec',
      `the model's input '${input.name}' has shape ${show(input.shape ?? [])}; the data set's features are ${show(['N', ...featureShape])}`,
    );
  return { ...graph, inputs: [{ ...input, shape: ['N', ...featureShape] }] };
}

interface TrainingOptions {
  readonly samples: number;
  readonly featureShape: readonly number[];
  readonly loss: Loss;
  readonly target: Target;
}

/** One micro-batch's graph: from parameters, features, targets and noise to loss, gradients and statistics, all sums over samples. */
function trainingGraph(form: TrainingForm, { samples, featureShape, loss, target }: TrainingOptions) {
  const state = new Set(form.buffers.map(({ name }) => name));
  const candidates = [...form.initializers]
    .filter(([name, { type }]) => type === 'float32' && !state.has(name) && !name.startsWith('smlt.'))
    .map(([name]) => name);
  const features: Value = { name: form.inputs[0]?.name ?? 'features', type: 'float32', shape: [samples, ...featureShape] };
  const shapes = noiseShapes(form, [features], new Set(candidates));
  const noise = form.dropouts.map(({ input, rate }, node) => ({ input, node, rate, shape: shapes.get(input) ?? [] }));
  const inputs = [features, ...noise.map(({ input, shape }): Value => ({ name: input, type: 'float32', shape }))];
  const fixed = fixBatch(form, inputs, new Set(candidates));
  const { g } = fixed;

  const outputs = fixed.valueOf(form.outputs[0]?.name ?? '');
  if (outputs.shape[0] !== samples)
    throw new SmltError(
      'InvalidSpec',
      `the model's output has shape ${show(outputs.shape)} for ${samples} samples; expected the sample axis first: [N, ...]`,
    );
  const targets = g.define({ name: graphNames.targets, ...targetInput(target, samples) });
  const written = writeLoss(loss, g, outputs, targets, target);
  const gradients = differentiate(fixed, candidates, outputs, written.gradient);
  const params = candidates.filter((name) => gradients.has(name));
  if (params.length === 0)
    throw new SmltError('InvalidSpec', 'the model has nothing to train: no parameter reaches its output; add a layer with weights, such as dense');

  const results = [
    renamed(fixed, written.loss, graphNames.loss),
    ...params.map((name) => renamed(fixed, gradients.get(name) as Value, graphNames.gradient(name))),
    ...statistics(form, fixed, samples),
  ];
  // What no gradient reaches does not train: it goes back to what the file says.
  for (const name of candidates) if (!gradients.has(name)) g.initializers.set(name, tensorOf(form, name));
  const trained = params.map((name) => fixed.valueOf(name));
  const graph = g.graph('training', [...inputs, targets, ...trained], results);
  return {
    graph,
    params,
    noise: noise.map((each) => ({ ...each, shape: each.shape.slice(1), elementsPerSample: sizeOf(each.shape.slice(1)) })),
    liveBytes: peakLiveBytes(graph, g.values),
    flops: fixed.steps.reduce((sum, { at, rule }) => sum + (rule.flops?.(at) ?? 0), 0),
  };
}

/** A mask has its node's shape, which is known only once all before it is: one pass a dropout, each a layer further. */
function noiseShapes(form: TrainingForm, inputs: readonly Value[], trainable: ReadonlySet<string>): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  if (form.dropouts.length === 0) return shapes;
  const plain = form.nodes.map((node): Node =>
    node.inputs[1]?.startsWith('smlt.noise.') ? { ...node, op: 'Identity', inputs: node.inputs.slice(0, 1) } : node,
  );
  const { valueOf } = fixBatch({ ...form, nodes: plain }, inputs, trainable);
  for (const { inputs: names, outputs } of form.nodes) if (names[1]?.startsWith('smlt.noise.')) shapes.set(names[1], valueOf(outputs[0] ?? '').shape);
  for (const [input, shape] of shapes)
    if (shape[0] !== inputs[0]?.shape[0])
      throw new SmltError('UnsupportedOperator', `Dropout ${input}: its input ${show(shape)} has no sample axis first`);
  return shapes;
}

/** Gives a result its public name; a value that is a result twice needs a node of its own. */
function renamed({ g }: FixedGraph, value: Value, name: string): Value {
  g.nodes.push({ op: 'Identity', domain: '', name, inputs: [value.name], outputs: [name], attributes: {} });
  return g.define({ name, shape: value.shape, type: value.type });
}

/** Batch statistics times samples, the variance unbiased as in PyTorch (ONNX's own is biased). */
function statistics(form: TrainingForm, fixed: FixedGraph, samples: number): Value[] {
  const { g, valueOf, steps } = fixed;
  return form.batchNorms.flatMap(({ node, statistics: [mean, variance], buffers }) => {
    const X = steps.find(({ at }) => at.node.name === node && at.node.op === 'BatchNormalization')?.at.inputs[0] as Value;
    const count = elementsOf(X) / (X.shape[1] ?? 1);
    if (count < 2)
      throw new SmltError(
        'InvalidSpec',
        `batch normalisation '${node}' would see one value a channel: expected lanes of at least 2 samples; raise training.batchSize or lower training.lanes`,
      );
    return [
      renamed(fixed, g.mul(valueOf(mean), samples), graphNames.statistic(buffers[0])),
      renamed(fixed, g.mul(valueOf(variance), (samples * count) / (count - 1)), graphNames.statistic(buffers[1])),
    ];
  });
}
