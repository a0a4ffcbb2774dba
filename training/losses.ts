import { SmltError } from '../contracts/errors';
import type { Loss } from '../contracts/model';
import type { Program } from '../contracts/program';
import type { GraphWriter } from './graph-writer';
import { elementsOf } from './graph-writer';
import type { Value } from './shapes';
import { show } from './shapes';

export type Target = Program['target'];

/** What the loss adds to a graph: its sum over the micro-batch `[]`, and the gradient of that sum in the outputs. */
export interface WrittenLoss {
  readonly loss: Value;
  readonly gradient: Value;
}
type WriteLoss = (g: GraphWriter, outputs: Value, targets: Value) => WrittenLoss;

/** Type and shape of a micro-batch's targets as the graph takes them. */
export const targetInput = (target: Target, samples: number): { type: 'int32' | 'float32'; shape: number[] } =>
  target.kind === 'class' ? { type: 'int32', shape: [samples] } : { type: 'float32', shape: [samples, target.width] };

/** A sample's loss is the mean over its values, as PyTorch's `reduction='mean'` gives when all samples have as many. */
const meanOverValues = (write: (g: GraphWriter, z: Value, t: Value) => { each: Value; slope: Value }): WriteLoss =>
  function (g, outputs, targets) {
    const width = elementsOf(outputs) / (outputs.shape[0] ?? 1);
    const t = g.reshape(g.cast(targets, outputs.type), outputs.shape);
    const { each, slope } = write(g, outputs, t);
    return { loss: g.mul(g.sumAll(each), 1 / width), gradient: g.mul(slope, 1 / width) };
  };

const writers: Record<Exclude<Loss, 'program'>, WriteLoss> = {
  /** log Σ exp z - z_y over the last axis; gradient softmax(z) - onehot(y). */
  'softmax-cross-entropy': (g, z, labels) => {
    const [samples, classes] = z.shape as [number, number];
    const logP = g.emit('LogSoftmax', [z], z, { axis: { kind: 'int', value: 1 } });
    const numbers = g.constant({ type: 'int32', shape: [1, classes], data: Int32Array.from({ length: classes }, (_, i) => i) });
    const oneHot = g.mask(g.compare('Equal', g.reshape(labels, [samples, 1]), numbers), z.type);
    return { loss: g.neg(g.sumAll(g.mul(oneHot, logP))), gradient: g.sub(g.unary('Exp', logP), oneHot) };
  },
  mse: meanOverValues((g, z, t) => {
    const difference = g.sub(z, t);
    return { each: g.square(difference), slope: g.mul(difference, 2) };
  }),
  /** max(z, 0) - z t + log(1 + exp(-|z|)), which never overflows; gradient σ(z) - t. */
  'bce-with-logits': meanOverValues((g, z, t) => ({
    each: g.add(g.sub(g.unary('Relu', z), g.mul(z, t)), g.unary('Softplus', g.neg(g.unary('Abs', z)))),
    slope: g.sub(g.unary('Sigmoid', z), t),
  })),
};

/** Appends the loss. @throws {SmltError} `InvalidSpec` when outputs, loss and data do not fit each other. */
export function writeLoss(loss: Loss, g: GraphWriter, outputs: Value, targets: Value, target: Target): WrittenLoss {
  if (loss === 'program')
    throw new SmltError('InvalidSpec', 'loss program: only a Python program has a loss of its own; name the loss, such as softmax-cross-entropy');
  checkLoss(loss, outputs, target);
  return writers[loss](g, outputs, targets);
}

function checkLoss(loss: Exclude<Loss, 'program'>, { shape }: Value, target: Target): void {
  const refuse = (expected: string) =>
    new SmltError('InvalidSpec', `loss ${loss}: the model's output has shape ${show(['N', ...shape.slice(1)])}, ${expected}`);
  const width = shape.slice(1).reduce((product, axis) => product * axis, 1);
  if (loss === 'softmax-cross-entropy') {
    if (target.kind !== 'class') throw refuse('but the data set holds values, not classes; use mse or bce-with-logits, or pack integer labels');
    if (shape.length !== 2 || width !== target.classes)
      throw refuse(
        `expected [N, ${target.classes}] for the data set's ${target.classes} classes; let the last layer be { "dense": ${target.classes} }`,
      );
    return;
  }
  if (target.kind === 'class') {
    if (loss === 'mse') throw refuse('but the data set holds classes, not values; use softmax-cross-entropy, or pack float targets');
    if (target.classes !== 2 || width !== 1)
      throw refuse(`expected [N, 1] for labels 0 and 1; with ${target.classes} classes use softmax-cross-entropy`);
    return;
  }
  if (width !== target.width)
    throw refuse(`expected ${target.width} value(s) a sample as in the data set; let the last layer be { "dense": ${target.width} }`);
}
