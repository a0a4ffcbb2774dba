import type { Row } from './row';
import { positive, reduce, wide } from './row';

export const reductions: readonly Row[] = [
  ...['ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceSumSquare', 'ReduceL1', 'ReduceL2', 'ReduceLogSumExp'].flatMap((op) => reduce(op)),
  ...reduce('ReduceLogSum', positive),
  ...['Softmax', 'LogSoftmax'].flatMap((op): Row[] => [
    { op, inputs: [[3, 5]], options: { axis: -1 } },
    { op, inputs: [[2, 3, 4]], options: { axis: 1 } },
  ]),
  ...reduce('ReduceProd', wide),
];
