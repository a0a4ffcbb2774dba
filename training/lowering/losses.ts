import type { GraphWriter } from '../graph-writer';
import { int } from '../onnx/graph';
import type { Value } from '../shapes';
import type { At } from '../vjp/rule';
import { inputsOf } from '../vjp/rule';
import type { Lowering } from './lowering';

/**
 * -w[y] log p[y] of log probabilities `[N, C, …]` and labels `[N, …]`; a label equal to `ignore_index` counts nothing.
 * `mean` divides by the sum of the weights that count. Source: ONNX NegativeLogLikelihoodLoss-22.
 */
function negativeLogLikelihood(g: GraphWriter, at: At, logP: Value, labels: Value, weights: Value | undefined): Value {
  const ignored = at.has('ignore_index') ? at.int('ignore_index', 0) : undefined;
  const counts = ignored === undefined ? undefined : g.unary('Not', g.compare('Equal', labels, ignored));
  const safe = counts ? g.where(counts, labels, 0) : labels;
  const [samples = 1, , ...rest] = logP.shape;
  const picked = g.emit(
    'GatherElements',
    [logP, g.reshape(safe, [samples, 1, ...rest])],
    { shape: [samples, 1, ...rest], type: logP.type },
    { axis: int(1) },
  );
  const each = g.neg(g.reshape(picked, labels.shape));
  const weight = weights && g.emit('Gather', [weights, safe], { shape: labels.shape, type: weights.type });
  const share = weight && counts ? g.where(counts, weight, 0) : (weight ?? (counts && g.mask(counts, logP.type)));
  const weighted = share ? g.mul(each, share) : each;
  switch (at.text('reduction', 'mean')) {
    case 'none':
      return weighted;
    case 'sum':
      return g.sumAll(weighted);
    default:
      return share
        ? g.div(g.sumAll(weighted), g.sumAll(share))
        : g.mean(
            weighted,
            labels.shape.map((_, i) => i),
          );
  }
}

export const lossLowerings: Readonly<Record<string, Lowering>> = {
  NegativeLogLikelihoodLoss: (at, g) => {
    const { input, target, weight } = inputsOf(at, ['input', 'target', 'weight?']);
    return [negativeLogLikelihood(g, at, input, target, weight)];
  },
  SoftmaxCrossEntropyLoss: (at, g) => {
    const { scores, labels, weights } = inputsOf(at, ['scores', 'labels', 'weights?']);
    const logP = g.emit('LogSoftmax', [scores], scores, { axis: int(1) });
    return [negativeLogLikelihood(g, at, logP, labels, weights), logP];
  },
};
