import type { Array64, Forward, Options } from './arrays';
import { at, build, sum } from './arrays';
import { logSoftmax } from './reductions';

function likelihood(logP: Array64, labels: Array64, weights: Array64 | undefined, { ignore_index, reduction }: Options): Array64 {
  const weightOf = (label: number) => (label === ignore_index ? 0 : (weights?.data[label] ?? 1));
  const each = build(labels.shape, (index) => {
    const label = at(labels, index);
    return label === ignore_index ? 0 : -weightOf(label) * at(logP, [index[0]!, label, ...index.slice(1)]);
  });
  if (reduction === 'none') return each;
  return { shape: [], data: [sum(each.data) / (reduction === 'sum' ? 1 : sum(labels.data.map(weightOf)))] };
}

export const losses: Record<string, Forward> = {
  NegativeLogLikelihoodLoss: ([logP, labels, weights], options) => [likelihood(logP!, labels!, weights, options)],
  SoftmaxCrossEntropyLoss: ([scores, labels, weights], options) => {
    const logP = logSoftmax(scores!, { axis: 1 });
    return [likelihood(logP, labels!, weights, options), logP];
  },
};
