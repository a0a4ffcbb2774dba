import { SmltError } from '../contracts/errors';
import type { LossSettings } from '../contracts/loss';
import { settingsOf, type Loss } from '../contracts/loss';
import type { GraphWriter } from './graph-writer';
import { elementsOf } from './graph-writer';
import { crossEntropy, divergence, logitsOf, multiMargin, nextTokens } from './losses/classes';
import type { Target } from './losses/target';
import { byValue } from './losses/values';
import type { WrittenLoss } from './losses/written-loss';
import type { Value } from './shapes';
import { show } from './shapes';

/** Whether losses of a batch weigh differently, so that their mean is not over samples. */
export function isWeighted(loss: Loss): boolean {
  const settings = settingsOf(loss);
  return ('ignoreIndex' in settings && settings.ignoreIndex !== undefined) || ('classWeights' in settings && settings.classWeights !== undefined);
}

/**
 * Appends the loss.
 * @param features  rows `[N, ...]`, whose first numbers are the tokens, for next-token
 * @throws {SmltError} `InvalidSpec` when outputs, loss and data do not fit each other
 */
export function writeLoss(loss: Loss, g: GraphWriter, outputs: Value, targets: Value, target: Target, features?: Value): WrittenLoss {
  const settings = settingsOf(loss);
  checkLoss(settings, outputs, target, features);
  switch (settings.kind) {
    case 'softmax-cross-entropy':
      return crossEntropy(settings, g, logitsOf(outputs, target), targets);
    case 'next-token':
      return nextTokens(settings, g, outputs, features as Value);
    case 'program':
      throw new SmltError(
        'InvalidSpec',
        'loss program: only Python programs and ONNX graphs have a loss of their own; name the loss, such as softmax-cross-entropy',
      );
    case 'kl-divergence':
      return divergence(g, outputs, targets);
    case 'hinge':
      return target.kind === 'class' && elementsOf(outputs) > elementsOf(targets)
        ? multiMargin(settings.margin ?? 1, g, outputs, targets)
        : byValue(settings, g, outputs, targets);
    default:
      return byValue(settings, g, outputs, targets);
  }
}

function checkLoss(loss: LossSettings, outputs: Value, target: Target, features: Value | undefined): void {
  const { kind } = loss;
  const { shape } = outputs;
  const refuse = (expected: string) =>
    new SmltError('InvalidSpec', `loss ${kind}: the model's output has shape ${show(['N', ...shape.slice(1)])}, ${expected}`);
  const width = shape.slice(1).reduce((product, axis) => product * axis, 1);
  switch (kind) {
    case 'softmax-cross-entropy': {
      if (target.kind === 'class' && (shape.length !== 2 || width !== target.classes))
        throw refuse(
          `expected [N, ${target.classes}] for the data set's ${target.classes} classes; let the last layer be { "dense": ${target.classes} }`,
        );
      const logits = logitsOf(outputs, target);
      if (!logits.fits)
        throw refuse(
          `and the data set holds ${target.kind === 'values' ? target.width : 1} value(s) a sample. It needs class labels, one a sample or one a position of [N, ..., classes] or [N, classes, ...], or one share a class; for numbers use mse or bce-with-logits`,
        );
      if (loss.classWeights && loss.classWeights.length !== logits.classes)
        throw refuse(`so expected ${logits.classes} classWeights, one a class; got ${loss.classWeights.length}`);
      return;
    }
    case 'next-token': {
      const tokens = (features?.shape ?? []).slice(1).reduce((product, axis) => product * axis, 1);
      if (shape.length !== 3 || (shape[1] ?? 0) < 2 || tokens < (shape[1] ?? 0))
        throw refuse(
          `and a sample's features are ${tokens} numbers; expected [N, positions, vocabulary], the features' first numbers being the tokens`,
        );
      return;
    }
    case 'program':
      return; // refused by writeLoss
    case 'bce-with-logits':
    case 'hinge':
      if (target.kind === 'class' && width === 1 && target.classes === 2) return;
      if (kind === 'hinge' && target.kind === 'class') {
        if (shape.length === 2 && width === target.classes) return;
        throw refuse(`expected [N, ${target.classes}] for the data set's ${target.classes} classes`);
      }
      if (target.kind === 'class') throw refuse(`expected [N, 1] for labels 0 and 1; with ${target.classes} classes use softmax-cross-entropy`);
      break;
    default:
      if (target.kind === 'class') throw refuse('but the data set holds classes, not values; use softmax-cross-entropy, or pack float targets');
  }
  if (width !== target.width)
    throw refuse(`expected ${target.width} value(s) a sample as in the data set; let the last layer be { "dense": ${target.width} }`);
}
