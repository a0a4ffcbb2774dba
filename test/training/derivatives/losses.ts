import type { Row } from './row';
import { floats, indices, whole } from './row';

export const losses: readonly Row[] = [
  ...['SoftmaxCrossEntropyLoss', 'NegativeLogLikelihoodLoss'].flatMap((op): Row[] => [
    ...['none', 'sum', 'mean'].flatMap((reduction): Row[] => [
      { op, inputs: [[3, 4], whole(1, 3, 0)], options: { reduction } },
      { op, inputs: [[3, 4], whole(1, 3, 0), floats(0.5, 2, 1, 1.5)], options: { reduction } },
      { op, inputs: [[3, 4], whole(1, -100, 0)], options: { reduction, ignore_index: -100 } },
      { op, inputs: [[2, 3, 2, 2], indices([2, 2, 2], 0, 1, 2, 2, 1, 0, 0, 1), floats(0.5, 2, 1)], options: { reduction, ignore_index: 1 } },
    ]),
    { op, inputs: [[3, 4], { fixed: [2, 0, 3], type: 'int32' }] },
  ]),
  { op: 'SoftmaxCrossEntropyLoss', inputs: [[3, 4], whole(1, 3, 0)], use: { outputs: 2, joined: [0, 1] } },
];
