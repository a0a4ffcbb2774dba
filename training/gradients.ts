import { SmltError } from '../contracts/errors';
import { LOSS_WEIGHT, settingsOf, type Loss } from '../contracts/loss';
import type { Feed } from './batch-loss';
import { lossOver, ownLoss } from './batch-loss';
import type { GraphWriter } from './graph-writer';
import { rolesOf } from './import/parameters';
import type { ParameterChoice } from './import/patterns';
import { readForward } from './import/read-forward';
import type { WrittenLoss } from './losses/written-loss';
import { encodeModel } from './onnx/codec';
import type { ElementType, Graph, TensorData, ValueInfo } from './onnx/graph';
import { dataOf, numbersOf, sizeOf } from './onnx/graph';
import type { SafeTensor } from './safetensors';
import { floatsFrom, isFloatDtype } from './safetensors';
import type { Value } from './shapes';
import { show } from './shapes';
import { graphNames, trainingForm } from './training-form';
import { trainingGraph } from './training-graph';

/** Runs a graph and gives what comes out, flat. */
export type RunGraph = (graph: Uint8Array, feeds: Readonly<Record<string, Feed>>) => Promise<Readonly<Record<string, Float32Array>>>;

export interface GradientRequest extends ParameterChoice {
  /** A self-contained ONNX file. */
  readonly onnx: Uint8Array;
  /** The graph's inputs by name, whole batches, and the targets. */
  readonly batch: ReadonlyMap<string, SafeTensor>;
  /** The targets' name in the batch; a graph that outputs its own loss needs none. */
  readonly targets: string | undefined;
  /** Left out for a graph that outputs its own loss. */
  readonly loss: Loss | undefined;
  /** Compute intermediates again rather than keep them. */
  readonly recompute?: { readonly boundBytes: number | undefined } | undefined;
}
export interface Gradients {
  readonly loss: number;
  /** In the file's order; a parameter that no gradient reaches is not in it. */
  readonly gradients: readonly SafeTensor[];
  /** Running statistics after the step, by name. */
  readonly buffers: readonly SafeTensor[];
  /** What a person who compares should know. */
  readonly notes: readonly string[];
}

/**
 * The loss of one batch, its gradients and the running statistics after it: what another framework can be compared with.
 * The loss is the mean over the batch. BatchNormalization is in training mode; Dropout is left out, since no two
 * frameworks draw the same mask.
 * @throws {SmltError} `InvalidModel`, `InvalidSpec`, `BadData` or `UnsupportedOperator`
 */
export async function gradientsOf(request: GradientRequest, run: RunGraph): Promise<Gradients> {
  const { batch, loss, targets: targetName } = request;
  const notes: string[] = [];
  const read = readForward(request.onnx);
  const graph = withoutDropout(read);
  if (graph !== read) notes.push('Dropout is left out: compare with a rate of 0');
  const roles = rolesOf(graph, request);
  const form = trainingForm(graph, roles);
  const candidates = [...roles].flatMap(([name, role]) => (role === 'parameter' ? [name] : []));

  const feeds: Record<string, Feed> = {};
  const inputs = graph.inputs.map((input): Value => {
    const feed = feedOf(input, batch);
    feeds[input.name] = feed;
    return { name: input.name, shape: feed.shape, type: feed.type };
  });
  if (graph.outputs.length > 1) notes.push(`the loss is taken of the first of ${graph.outputs.length} outputs, '${graph.outputs[0]?.name}'`);

  // Known once the outputs' shape is: the divisor that makes a mean of the graph's sums, unless the graph itself counts it.
  let count = 1;
  const samples = inputs.find(({ shape }) => shape.length > 0)?.shape[0] ?? 1;
  const written = (g: GraphWriter, outputs: Value): WrittenLoss & { inputs: Value[] } => {
    if (outputs.shape.length === 0 || (sizeOf(outputs.shape) === 1 && targetName === undefined)) return ownLoss(g, outputs);
    const named = targetName ?? (loss !== undefined && settingsOf(loss).kind === 'next-token' ? tokensOf(graph) : undefined);
    if (named === undefined || loss === undefined)
      throw new SmltError(
        'InvalidSpec',
        `the model's output '${outputs.name}' has shape ${show(outputs.shape)}, so it is no loss; expected --targets and --loss`,
      );
    const made = lossOver(g, outputs, tensorIn(batch, named, 'targets'), loss);
    count = made.count;
    feeds[graphNames.targets] = made.feed;
    return made;
  };
  const built = trainingGraph(form, { samples, inputs, candidates, loss: written, recompute: request.recompute });
  for (const name of built.params) {
    const tensor = graph.initializers.get(name);
    if (tensor) feeds[name] = tensor;
  }
  const unreached = candidates.filter((name) => !built.params.includes(name));
  if (unreached.length > 0) notes.push(`no gradient reaches ${unreached.join(', ')}`);

  const results = await run(encodeModel(built.graph), feeds);
  const result = (name: string): Float32Array => results[name] ?? new Float32Array(0);
  count = results[graphNames.statistic(LOSS_WEIGHT)]?.[0] ?? count;
  return {
    loss: (result(graphNames.loss)[0] ?? NaN) / count,
    gradients: built.params.map((name) => ({
      name,
      dtype: 'F32',
      shape: graph.initializers.get(name)?.shape ?? [],
      data: result(graphNames.gradient(name)).map((value) => value / count),
    })),
    buffers: form.buffers.map(({ name, momentum }) => {
      const statistic = result(graphNames.statistic(name));
      const before = graph.initializers.get(name);
      return {
        name,
        dtype: 'F32',
        shape: before?.shape ?? [],
        data: Float32Array.from(before ? numbersOf(before) : [], (value, i) => (1 - momentum) * value + momentum * ((statistic[i] ?? NaN) / samples)),
      };
    }),
    notes,
  };
}

/** The tokens that a language model reads: its first input of whole numbers. */
const tokensOf = (graph: Graph): string | undefined => graph.inputs.find(({ type, shape }) => type !== 'float32' && shape?.length === 2)?.name;

function withoutDropout(graph: Graph): Graph {
  if (!graph.nodes.some(({ op, domain }) => op === 'Dropout' && domain === '')) return graph;
  return {
    ...graph,
    nodes: graph.nodes.map((node) =>
      node.op === 'Dropout' && node.domain === ''
        ? { ...node, op: 'Identity', inputs: node.inputs.slice(0, 1), outputs: node.outputs.slice(0, 1), attributes: {} }
        : node,
    ),
  };
}

function tensorIn(batch: ReadonlyMap<string, SafeTensor>, name: string, what: string): SafeTensor {
  const tensor = batch.get(name);
  if (!tensor)
    throw new SmltError('BadData', `the batch has no tensor '${name}' for the ${what}; it holds ${[...batch.keys()].join(', ') || 'nothing'}`);
  return tensor;
}

/** A graph input's tensor in the type that the graph takes. Only the first axis may differ from the file's shape. */
function feedOf({ name, type, shape }: ValueInfo, batch: ReadonlyMap<string, SafeTensor>): Feed {
  const tensor = tensorIn(batch, name, `model's input '${name}'`);
  const fits =
    !shape || (shape.length === tensor.shape.length && shape.every((axis, i) => i === 0 || typeof axis === 'string' || axis === tensor.shape[i]));
  if (!fits) throw new SmltError('BadData', `tensor '${name}' has shape ${show(tensor.shape)}; the model's input expects ${show(shape ?? [])}`);
  if (sizeOf(tensor.shape) === 0)
    throw new SmltError('BadData', `tensor '${name}' of shape ${show(tensor.shape)} is empty; expected at least one sample`);
  return { type, shape: tensor.shape, data: converted(tensor, type) };
}

function converted(tensor: SafeTensor, type: ElementType): TensorData {
  if (type === 'float32') return floatsFrom(tensor);
  if (isFloatDtype(tensor.dtype))
    throw new SmltError('BadData', `tensor '${tensor.name}' holds ${tensor.dtype}; the model's input expects ${type}; save it as whole numbers`);
  const { data } = tensor;
  if (type === 'int64' && data instanceof BigInt64Array) return data;
  return dataOf(type, Array.from(data as ArrayLike<number | bigint>, Number));
}
