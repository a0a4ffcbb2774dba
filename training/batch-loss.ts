import { SmltError } from '../contracts/errors';
import { settingsOf, type Loss } from '../contracts/loss';
import type { GraphWriter } from './graph-writer';
import { writeLoss } from './losses';
import { targetInput, type Target } from './losses/target';
import type { WrittenLoss } from './losses/written-loss';
import type { ElementType, TensorData } from './onnx/graph';
import { sizeOf } from './onnx/graph';
import type { SafeTensor } from './safetensors';
import { floatsFrom, isFloatDtype } from './safetensors';
import type { Value } from './shapes';
import { show } from './shapes';
import { graphNames } from './training-form';

/** What runs in a graph. */
export interface Feed {
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** A whole batch's loss, and what the graph is fed for it. */
export interface BatchLoss extends WrittenLoss {
  readonly inputs: Value[];
  /** The number of losses that were added up; not needed where the graph gives their weight. */
  readonly count: number;
  readonly feed: Feed;
}

/** PyTorch's default of `ignore_index`. */
const IGNORED = -100;

/** A graph's own loss: a mean over the batch already. */
export function ownLoss(g: GraphWriter, outputs: Value): WrittenLoss & { inputs: Value[] } {
  return { loss: g.reshape(outputs, []), gradient: g.full(outputs.shape, 1, outputs.type), inputs: [] };
}

/** The loss over a whole batch, and the number of losses that were added up. */
export function lossOver(g: GraphWriter, outputs: Value, tensor: SafeTensor, loss: Loss): BatchLoss {
  if (outputs.type !== 'float32')
    throw new SmltError('InvalidModel', `the model's output '${outputs.name}' is ${outputs.type}; expected float32, as logits and values are`);
  if (settingsOf(loss).kind === 'next-token') return overTokens(g, outputs, tensor, loss);
  const labelled = ['softmax-cross-entropy', 'hinge'].includes(settingsOf(loss).kind) && !isFloatDtype(tensor.dtype);
  const classes = labelled && sizeOf(tensor.shape) < sizeOf(outputs.shape);
  return classes ? overClasses(g, outputs, tensor, loss) : overValues(g, outputs, tensor, loss);
}

/**
 * Labels have the outputs' shape without the axis of classes: the second, as PyTorch has it (`[N, C, ...]`), or the last,
 * as sequence models do (`[N, S, C]`).
 */
function overClasses(g: GraphWriter, outputs: Value, tensor: SafeTensor, loss: Loss): BatchLoss {
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
  const labels = labelsOf(tensor, size);
  const moved = g.transpose(outputs, perm);
  const target: Target = { kind: 'class', classes: size };
  const targets = g.define({ name: graphNames.targets, ...targetInput(target, labels.length) });
  const { gradient, ...written } = writeLoss(ignoring(loss, labels), g, g.reshape(moved, [labels.length, size]), targets, target);
  const back = perm.map((_, i) => perm.indexOf(i));
  return {
    ...written,
    gradient: g.transpose(g.reshape(gradient, moved.shape), back),
    inputs: [targets],
    count: labels.length,
    feed: { type: 'int32', shape: [labels.length], data: labels } satisfies Feed,
  };
}

function overValues(g: GraphWriter, outputs: Value, tensor: SafeTensor, loss: Loss): BatchLoss {
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

/**
 * Labels `[N, S]` of outputs `[N, S, V]`: that of a position is the next one's. `[N, S - 1]` are the next ones already.
 */
function overTokens(g: GraphWriter, outputs: Value, tensor: SafeTensor, loss: Loss): BatchLoss {
  const [samples = 1, positions = 1, vocabulary = 1] = outputs.shape;
  const [rows, length = 0, ...more] = tensor.shape;
  const shifted = length === positions - 1;
  if (outputs.shape.length !== 3 || rows !== samples || !(shifted || length === positions) || more.length > 0 || isFloatDtype(tensor.dtype))
    throw new SmltError(
      'BadData',
      `targets '${tensor.name}' are ${tensor.dtype} ${show(tensor.shape)} and the model's output is ${show(outputs.shape)}; expected whole numbers [N, positions] for [N, positions, vocabulary]`,
    );
  const given = labelsOf(tensor, vocabulary);
  // The first position's own token is no label.
  const labels = shifted
    ? Int32Array.from({ length: samples * positions }, (_, i) => (i % positions === 0 ? 0 : given[i - 1 - Math.floor(i / positions)]!))
    : given;
  const tokens = g.define({ name: graphNames.targets, type: 'int32', shape: [samples, positions] });
  const written = writeLoss(ignoring(loss, labels), g, outputs, tokens, { kind: 'class', classes: vocabulary }, tokens);
  return { ...written, inputs: [tokens], count: samples, feed: { type: 'int32', shape: [samples, positions], data: labels } };
}

function labelsOf(tensor: SafeTensor, classes: number): Int32Array {
  const labels = Int32Array.from(tensor.data as ArrayLike<number | bigint>, Number);
  const wrong = labels.find((label) => label !== IGNORED && (label < 0 || label >= classes));
  if (wrong !== undefined)
    throw new SmltError(
      'BadData',
      `targets '${tensor.name}' hold ${wrong}; expected labels from 0 to ${classes - 1}, or ${IGNORED} to leave one out`,
    );
  return labels;
}

/** As in PyTorch, the label -100 counts nothing. */
function ignoring(loss: Loss, labels: Int32Array): Loss {
  const settings = settingsOf(loss);
  const leavesOut = settings.kind === 'softmax-cross-entropy' || settings.kind === 'next-token';
  if (!labels.includes(IGNORED)) return loss;
  if (!leavesOut) throw new SmltError('BadData', `the targets hold ${IGNORED}, which loss ${settings.kind} cannot leave out; expected labels from 0`);
  return { ignoreIndex: IGNORED, ...settings };
}
