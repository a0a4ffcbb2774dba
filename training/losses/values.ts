import type { LossSettings } from '../../contracts/loss';
import type { GraphWriter } from '../graph-writer';
import { elementsOf } from '../graph-writer';
import type { Value } from '../shapes';
import type { WrittenLoss } from './written-loss';

/** Losses value by value. A sample's loss is the mean over its values, as PyTorch's `reduction='mean'` gives. */
type ByValue = Extract<LossSettings, { kind: 'mse' | 'mae' | 'huber' | 'bce-with-logits' | 'hinge' }>;

export function byValue(loss: ByValue, g: GraphWriter, outputs: Value, targets: Value): WrittenLoss {
  const width = elementsOf(outputs) / (outputs.shape[0] ?? 1);
  const t = g.reshape(g.cast(targets, outputs.type), outputs.shape);
  const { each, slope } = terms(loss, g, outputs, t);
  return { loss: g.mul(g.sumAll(each), 1 / width), gradient: g.mul(slope, 1 / width) };
}

/** Each value's loss, and its slope in the output. */
function terms(loss: ByValue, g: GraphWriter, z: Value, t: Value): { each: Value; slope: Value } {
  switch (loss.kind) {
    case 'mse': {
      const difference = g.sub(z, t);
      return { each: g.square(difference), slope: g.mul(difference, 2) };
    }
    case 'mae': {
      const difference = g.sub(z, t);
      return { each: g.unary('Abs', difference), slope: g.unary('Sign', difference) };
    }
    // Huber 1964: with c the difference clipped to delta, c d - c²/2.
    case 'huber': {
      const delta = loss.delta ?? 1;
      const difference = g.sub(z, t);
      const clipped = g.binary('Max', g.binary('Min', difference, delta), -delta);
      return { each: g.mul(clipped, g.sub(difference, g.mul(clipped, 0.5))), slope: clipped };
    }
    // max(z, 0) - z t + log(1 + exp(-|z|)), which never overflows; slope σ(z) - t. A positive weight p makes the part of the
    // right answer, log σ(z), count p times.
    case 'bce-with-logits': {
      const softplus = g.unary('Softplus', g.neg(g.unary('Abs', z)));
      if (loss.positiveWeight === undefined || loss.positiveWeight === 1)
        return { each: g.add(g.sub(g.unary('Relu', z), g.mul(z, t)), softplus), slope: g.sub(g.unary('Sigmoid', z), t) };
      const rest = g.sub(1, t);
      const weight = g.add(g.mul(t, loss.positiveWeight - 1), 1);
      const toRight = g.add(g.unary('Relu', g.neg(z)), softplus);
      return { each: g.add(g.mul(rest, z), g.mul(weight, toRight)), slope: g.sub(rest, g.mul(weight, g.unary('Sigmoid', g.neg(z)))) };
    }
    // max(0, margin - y z), y being 1 where the target is above 0, else -1.
    case 'hinge': {
      const sign = g.sub(g.mul(g.mask(g.compare('Greater', t, 0), z.type), 2), 1);
      const short = g.sub(loss.margin ?? 1, g.mul(sign, z));
      return { each: g.unary('Relu', short), slope: g.mul(g.mask(g.compare('Greater', short, 0), z.type), g.neg(sign)) };
    }
  }
}
