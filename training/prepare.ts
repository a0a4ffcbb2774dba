import { SmltError } from '../contracts/errors';
import { LOSS_WEIGHT, settingsOf, type Loss } from '../contracts/loss';
import type { Layer } from '../contracts/model';
import type { Program } from '../contracts/program';
import type { Recompute } from '../contracts/recompute';
import { hasBlocks } from './channel-blocks';
import { blockElements } from '../contracts/cut';
import type { FeatureBinding } from './import/features';
import { bindFeatures } from './import/features';
import { rolesOf } from './import/parameters';
import type { ParameterChoice } from './import/patterns';
import type { OwnLoss } from './import/own-loss';
import { ownLossOf, TARGETS, withLossLast, withoutLoss } from './import/own-loss';
import { readForward } from './import/read-forward';
import { withWeights } from './import/weights';
import type { GraphWriter } from './graph-writer';
import { forwardGraph } from './layers/forward-graph';
import { isWeighted, writeLoss } from './losses';
import { targetInput, type Target } from './losses/target';
import type { Residents } from './memory';
import { checkBound, recomputation, residentMib } from './memory';
import { decodeModel, encodeModel } from './onnx/codec';
import type { Graph, Node, Tensor } from './onnx/graph';
import { numbersOf, sizeOf } from './onnx/graph';
import type { SafeTensor } from './safetensors';
import type { Value } from './shapes';
import { show } from './shapes';
import { graphNames, inferenceForm, trainingForm } from './training-form';
import type { TrainingGraph } from './training-graph';
import { trainingGraph } from './training-graph';

/** A program before it is stored: without digest, and with file names where the stored one has object names. */
export type ProgramDraft = Omit<Program, 'digest'>;

export interface BuildRequest {
  readonly model: { readonly layers: readonly Layer[] } | OnnxSource;
  readonly loss: Loss;
  /** Shape of one sample's features. */
  readonly featureShape: readonly number[];
  /** How that row falls into named features, for a graph with several inputs. */
  readonly features?: FeatureBinding['features'];
  readonly target: Target;
  readonly seed: number;
  /** Micro-batch sizes of the lanes; one training graph each. */
  readonly laneBatches: readonly number[];
  readonly recompute?: Recompute | undefined;
  /** The most memory that a function may get: what does not fit is computed again, unless the job says otherwise. */
  readonly memoryMib?: number | undefined;
}

/** A self-contained ONNX file, and what the job says of it. */
export interface OnnxSource extends ParameterChoice, Pick<FeatureBinding, 'inputs'> {
  readonly onnx: Uint8Array;
  /** Initial values by name, see `withWeights`. */
  readonly weights?: ReadonlyMap<string, SafeTensor> | undefined;
}

/**
 * Turns a model and a loss into graphs that train: one for each micro-batch size, and the forward graph. Pure: the
 * caller stores the files and names the program.
 * @throws {SmltError} `InvalidModel`, `InvalidSpec` or `UnsupportedOperator`, saying which node or layer and what to do
 */
export function buildProgram(request: BuildRequest): { program: ProgramDraft; files: Map<string, Uint8Array> } {
  const { model, loss, featureShape, target } = request;
  const choice = 'layers' in model ? {} : model;
  const { source, ownLoss } = sourceOf(request);
  const roles = rolesOf(source, choice);
  const candidates = [...roles].flatMap(([name, role]) => (role === 'parameter' ? [name] : []));
  const form = trainingForm(source, roles);
  const files = new Map<string, Uint8Array>();

  const batches = [...new Set(request.laneBatches)].sort((a, b) => b - a);
  if (batches.length === 0) throw new SmltError('InvalidSpec', 'no lane has samples: expected at least one micro-batch size');
  const built = batches.map((samples) => {
    const rows: Value = { name: form.inputs[0]?.name ?? 'features', type: 'float32', shape: [samples, ...featureShape] };
    const inputs = ownLoss?.targets ? [rows, { name: graphNames.targets, ...targetInput(target, samples) }] : [rows];
    const written = (g: GraphWriter, outputs: Value) => {
      if (ownLoss) return { loss: g.mul(g.reshape(outputs, []), samples), gradient: g.full(outputs.shape, samples, outputs.type), inputs: [] };
      if (outputs.shape[0] !== samples) throw noSampleAxis(outputs, samples);
      const targets = g.define({ name: graphNames.targets, ...targetInput(target, samples) });
      return { ...writeLoss(loss, g, outputs, targets, target, rows), inputs: [targets] };
    };
    const made = (blocked: boolean) => {
      const asked = { samples, inputs, candidates, loss: written, blocked, predicts: form.outputs[ownLoss ? 1 : 0]?.name };
      const plain = trainingGraph(form, asked);
      const again = recomputation(plain.liveBytes, residentsOf(plain), request);
      const least = again ? trainingGraph(form, { ...asked, recompute: again }) : plain;
      checkBound(request.recompute, least.liveBytes);
      return least;
    };
    return { samples, ...made(false), blocked: made(true) };
  });
  const first = built[0] as (typeof built)[number];
  const trainingGraphs: Record<string, string> = {};
  const blockedGraphs: Record<string, string> = {};
  for (const { samples, graph, blocked } of built) {
    files.set((trainingGraphs[samples] = `training-${samples}.onnx`), encodeTraining(graph));
    if (hasBlocks(blocked.graph)) files.set((blockedGraphs[samples] = `training-${samples}.blocked.onnx`), encodeTraining(blocked.graph));
  }

  const params = layout(first.params.map((name) => [name, tensorOf(source, name)]));
  const weight: [string, Tensor][] = isWeighted(loss) ? [[LOSS_WEIGHT, { type: 'float32', shape: [], data: Float32Array.of(1) }]] : [];
  const buffers = layout([...form.buffers.map(({ name }) => [name, tensorOf(source, name)] as const), ...weight]);
  const variable = new Set([...params.tensors, ...buffers.tensors].map(({ name }) => name));
  files.set('forward.onnx', encodeModel(inferenceForm(ownLoss ? withLossLast(source, ownLoss) : source, variable, ownLoss ? Infinity : 1)));
  files.set('initial-params.f32', bytesOf(params.values));
  files.set('initial-buffers.f32', bytesOf(buffers.values));

  const program: ProgramDraft = {
    formatVersion: 1,
    loss,
    params: params.tensors,
    paramCount: params.values.length,
    // The weight of a batch's losses is that batch's own: the old one counts nothing.
    buffers: buffers.tensors.map((tensor, i) => ({ ...tensor, momentum: form.buffers[i]?.momentum ?? 1 })),
    bufferCount: buffers.values.length,
    blockElements: blockElements(params.values.length),
    featureShape: [...featureShape],
    ...(first.outputShape && { outputShape: [...first.outputShape] }),
    target,
    noise: [...first.noise],
    trainingGraphs,
    ...(Object.keys(blockedGraphs).length > 0 && { blockedGraphs }),
    forwardGraph: 'forward.onnx',
    initialParams: 'initial-params.f32',
    initialBuffers: 'initial-buffers.f32',
    peakMemoryMib: Math.ceil(Math.max(...[first, first.blocked].map((made) => residentMib(made.liveBytes, residentsOf(made))))),
    forwardFlopsPerSample: first.flops / first.samples,
  };
  return { program, files };
}

/** With a first output that is no tensor, for which see `runInto` of runtime.ts. */
function encodeTraining(graph: Graph): Uint8Array {
  const { written, loss } = graphNames;
  const mark: Node = { op: 'SequenceConstruct', domain: '', name: written, inputs: [loss], outputs: [written], attributes: {} };
  return encodeModel({ ...graph, nodes: [...graph.nodes, mark] }, [written]);
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
    for (const { name, shape, offset, length } of tensors)
      if (name !== LOSS_WEIGHT) weights.set(name, { type: 'float32', shape, data: values.slice(offset, offset + length) });
  const predicting = withoutLoss(graph);
  if (predicting.outputs.length === 0) throw new SmltError('InvalidSpec', nothingToPredict);
  return encodeModel({
    ...predicting,
    initializers: new Map([...predicting.initializers, ...[...weights].filter(([name]) => predicting.inputs.some((input) => input.name === name))]),
    inputs: predicting.inputs.filter(({ name }) => !weights.has(name)),
  });
}

export const nothingToPredict =
  'the model outputs nothing but its own loss, so there is nothing to deploy; export it with a second output that does not need the targets, or leave deploy out';

/** The model's graph with one input of samples, and its own loss where the job asks for that. */
function sourceOf({ model, loss, featureShape, features, target, seed }: BuildRequest): { source: Graph; ownLoss?: OwnLoss } {
  if ('layers' in model) return { source: forwardGraph(model.layers, featureShape, seed) };
  const graph = withWeights(readForward(model.onnx), model.weights);
  if (settingsOf(loss).kind !== 'program') return { source: bindFeatures(graph, { featureShape, features, inputs: model.inputs }) };
  const ownLoss = ownLossOf(graph, { features, inputs: model.inputs }, target);
  const left = new Set(ownLoss.graph.inputs.map(({ name }) => name));
  const inputs = Object.fromEntries(Object.entries(model.inputs ?? {}).filter(([name, feature]) => left.has(name) || feature !== TARGETS));
  return { source: bindFeatures(ownLoss.graph, { featureShape, features, inputs }), ownLoss };
}

function residentsOf({ graph, params }: TrainingGraph): Residents {
  const trained = new Set(params);
  const sizes = graph.inputs.map(({ name, shape = [] }) => (trained.has(name) ? sizeOf(shape as number[]) : 0));
  return { vectorElements: sizes.reduce((sum, size) => sum + size, 0) };
}

const noSampleAxis = ({ shape }: Value, samples: number) =>
  new SmltError(
    'InvalidSpec',
    shape.length === 0
      ? `the model's output is one number for ${samples} samples; where that is its own loss, say "loss": "program"`
      : `the model's output has shape ${show(shape)} for ${samples} samples; expected the sample axis first: [N, ...]. A model exported for one fixed batch has it in its shapes: export it with a dynamic first axis`,
  );

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
