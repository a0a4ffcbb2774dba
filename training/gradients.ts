import { SmltError } from '../contracts/errors';
import { settingsOf, type Loss } from '../contracts/loss';
import type { GraphWriter } from './graph-writer';
import { rolesOf } from './import/parameters';
import type { ParameterChoice } from './import/patterns';
import { readForward } from './import/read-forward';
import type { Target, WrittenLoss } from './losses';
import { targetInput, writeLoss } from './losses';
import { encodeModel } from './onnx/codec';
import type { ElementType, Graph, TensorData, ValueInfo } from './onnx/graph';
import { dataOf, numbersOf, sizeOf } from './onnx/graph';
import type { SafeTensor } from './safetensors';
import { floatsFrom, isFloatDtype } from './safetensors';
import type { Value } from './shapes';
import { show } from './shapes';
import { graphNames, trainingForm } from './training-form';
import { trainingGraph } from './training-graph';

/** What runs in a graph, and what comes out, flat. */
export interface Feed {
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly data: TensorData;
}
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
  const form = trainingForm(graph, (statistic) => roles.get(statistic) === 'statistic');
  const candidates = [...roles].flatMap(([name, role]) => (role === 'parameter' ? [name] : []));

  const feeds: Record<string, Feed> = {};
  const inputs = graph.inputs.map((input): Value => {
    const feed = feedOf(input, batch);
    feeds[input.name] = feed;
    return { name: input.name, shape: feed.shape, type: feed.type };
  });
  if (graph.outputs.length > 1) notes.push(`the loss is taken of the first of ${graph.outputs.length} outputs, '${graph.outputs[0]?.name}'`);

  // Known once the outputs' shape is: the divisor that makes a mean of the graph's sums.
  let count = 1;
  const samples = inputs.find(({ shape }) => shape.length > 0)?.shape[0] ?? 1;
  const written = (g: GraphWriter, outputs: Value): WrittenLoss & { inputs: Value[] } => {
    if (outputs.shape.length === 0 || (sizeOf(outputs.shape) === 1 && targetName === undefined)) return ownLoss(g, outputs);
    if (targetName === undefined || loss === undefined)
      throw new SmltError(
        'InvalidSpec',
        `the model's output '${outputs.name}' has shape ${show(outputs.shape)}, so it is no loss; expected --targets and --loss`,
      );
    const tensor = tensorIn(batch, targetName, 'targets');
    const made = lossOver(g, outputs, tensor, loss);
    count = made.count;
    feeds[graphNames.targets] = made.feed;
    return made;
  };
  const built = trainingGraph(form, { samples, inputs, candidates, loss: written });
  for (const name of built.params) {
    const tensor = graph.initializers.get(name);
    if (tensor) feeds[name] = tensor;
  }
  const unreached = candidates.filter((name) => !built.params.includes(name));
  if (unreached.length > 0) notes.push(`no gradient reaches ${unreached.join(', ')}`);

  const results = await run(encodeModel(built.graph), feeds);
  const result = (name: string): Float32Array => results[name] ?? new Float32Array(0);
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

/** A graph's own loss: a mean over the batch already. */
function ownLoss(g: GraphWriter, outputs: Value): WrittenLoss & { inputs: Value[] } {
  return { loss: g.reshape(outputs, []), gradient: g.full(outputs.shape, 1, outputs.type), inputs: [] };
}

/** The loss over a whole batch, and the number of losses that were added up. */
function lossOver(g: GraphWriter, outputs: Value, tensor: SafeTensor, loss: Loss) {
  if (outputs.type !== 'float32')
    throw new SmltError('InvalidModel', `the model's output '${outputs.name}' is ${outputs.type}; expected float32, as logits and values are`);
  const labelled = ['softmax-cross-entropy', 'hinge'].includes(settingsOf(loss).kind) && !isFloatDtype(tensor.dtype);
  const classes = labelled && sizeOf(tensor.shape) < sizeOf(outputs.shape);
  return classes ? overClasses(g, outputs, tensor, loss) : overValues(g, outputs, tensor, loss);
}

/**
 * Labels have the outputs' shape without the axis of classes: the second, as PyTorch has it (`[N, C, ...]`), or the last,
 * as sequence models do (`[N, S, C]`).
 */
function overClasses(g: GraphWriter, outputs: Value, tensor: SafeTensor, loss: Loss) {
  const { shape } = outputs;
  const without = (axis: number) => shape.filter((_, i) => i !== axis).join();
  // One label a sample may come as a column.
  const labelShape = tensor.shape.length === shape.length && tensor.shape.at(-1) === 1 ? tensor.shape.slice(0, -1) : tensor.shape;
  const axis = [1, shape.length - 1].find((candidate) => shape.length > 1 && without(candidate) === labelShape.join());
  if (axis === undefined)
    throw new SmltError(
      'BadData',
      `targets '${tensor.name}' have shape ${show(tensor.shape)} and the model's output ${show(shape)}; expected labels [N] for [N, C]`,
    );
  const perm = [...shape.keys()].filter((i) => i !== axis).concat(axis);
  const size = shape[axis] ?? 1;
  const labels = Int32Array.from(tensor.data as ArrayLike<number | bigint>, Number);
  const wrong = labels.find((label) => label < 0 || label >= size);
  if (wrong !== undefined) throw new SmltError('BadData', `targets '${tensor.name}' hold ${wrong}; expected labels from 0 to ${size - 1}`);
  const moved = g.transpose(outputs, perm);
  const target: Target = { kind: 'class', classes: size };
  const targets = g.define({ name: graphNames.targets, ...targetInput(target, labels.length) });
  const { loss: sum, gradient } = writeLoss(loss, g, g.reshape(moved, [labels.length, size]), targets, target);
  const back = perm.map((_, i) => perm.indexOf(i));
  return {
    loss: sum,
    gradient: g.transpose(g.reshape(gradient, moved.shape), back),
    inputs: [targets],
    count: labels.length,
    feed: { type: 'int32', shape: [labels.length], data: labels } satisfies Feed,
  };
}

function overValues(g: GraphWriter, outputs: Value, tensor: SafeTensor, loss: Loss) {
  const size = sizeOf(outputs.shape);
  if (sizeOf(tensor.shape) !== size)
    throw new SmltError(
      'BadData',
      `targets '${tensor.name}' have shape ${show(tensor.shape)} and the model's output ${show(outputs.shape)}; expected as many values`,
    );
  const samples = outputs.shape[0] ?? 1;
  const target: Target = { kind: 'values', width: size / samples };
  const targets = g.define({ name: graphNames.targets, ...targetInput(target, samples) });
  const { loss: sum, gradient } = writeLoss(loss, g, outputs, targets, target);
  return {
    loss: sum,
    gradient: g.reshape(gradient, outputs.shape),
    inputs: [targets],
    count: samples,
    feed: { type: 'float32', shape: [samples, target.width], data: floatsFrom(tensor) } satisfies Feed,
  };
}
