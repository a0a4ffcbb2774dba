import type { Row } from './row';
import { positive } from './row';

export const norms: readonly Row[] = [
  { op: 'BatchNormalization', inputs: [[4, 3, 2, 2], positive([3]), [3]], options: { epsilon: 0.01 } },
  { op: 'BatchNormalization', inputs: [[6, 3], positive([3]), [3]], options: { epsilon: 0.001 } },
  { op: 'LayerNormalization', inputs: [[3, 6], positive([6]), [6]] },
  { op: 'LayerNormalization', inputs: [[2, 3, 4], positive([3, 4])], options: { axis: 1, epsilon: 0.01 } },
  { op: 'InstanceNormalization', inputs: [[2, 3, 3, 3], positive([3]), [3]] },
  { op: 'GroupNormalization', inputs: [[2, 4, 3, 3], positive([4]), [4]], options: { num_groups: 2 }, opset: 21 },
  { op: 'InstanceNormalization', inputs: [[2, 3, 7], positive([3]), [3]], options: { epsilon: 0.01 } },
  { op: 'GroupNormalization', inputs: [[2, 4, 3, 3], positive([2]), [2]], options: { num_groups: 2 }, opset: 18 },
  { op: 'GroupNormalization', inputs: [[2, 6, 5], positive([6]), [6]], options: { num_groups: 3, epsilon: 0.01 }, opset: 21 },
  { op: 'RMSNormalization', inputs: [[2, 3, 4], positive([4])], opset: 23 },
  { op: 'RMSNormalization', inputs: [[2, 3, 4], positive([3, 4])], options: { axis: 1, epsilon: 0.01 }, opset: 23 },
  { op: 'LpNormalization', inputs: [[3, 4]], options: { p: 2 } },
  { op: 'LpNormalization', inputs: [[3, 4]], options: { p: 1, axis: 0 } },
  { op: 'MeanVarianceNormalization', inputs: [[2, 3, 2, 2]] },
  { op: 'LayerNormalization', inputs: [[2, 3, 4], positive([4])] },
];
