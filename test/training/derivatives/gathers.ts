import type { Row } from './row';
import { indices, whole } from './row';

export const gathers: readonly Row[] = [
  { op: 'Gather', inputs: [[5, 3], { fixed: [0, 4, 4, -1], shape: [2, 2], type: 'int64' }] },
  { op: 'Gather', inputs: [[2, 4, 3], { fixed: [2], shape: [], type: 'int64' }], options: { axis: 1 } },
  { op: 'GatherElements', inputs: [[3, 3], { fixed: [1, 1, 0, -1, 0, 0], shape: [2, 3], type: 'int64' }], options: { axis: 0 } },
  { op: 'GatherND', inputs: [[3, 4, 2], indices([2, 2], 0, 1, 2, -1)] },
  { op: 'GatherND', inputs: [[3, 4, 2], indices([2, 2, 1], 0, 1, 1, -1)] },
  { op: 'GatherND', inputs: [[2, 4, 3], indices([2, 3, 1], 0, 0, 3, 2, 1, -1)], options: { batch_dims: 1 } },
  { op: 'GatherND', inputs: [[2, 2, 4], indices([2, 2, 1], 0, 3, 2, -2)], options: { batch_dims: 2 } },
  { op: 'ScatterElements', inputs: [[3, 3], indices([2, 3], 1, 2, 0, -1, 0, 1), [2, 3]], options: { axis: 0 } },
  ...['add', 'min', 'max'].map((reduction): Row => ({
    op: 'ScatterElements',
    inputs: [[3, 3], indices([2, 3], 1, 1, 0, 0, 1, 0), [2, 3]],
    options: { axis: 1, reduction },
  })),
  { op: 'ScatterND', inputs: [[4, 3], indices([2, 1], 3, 0), [2, 3]] },
  { op: 'ScatterND', inputs: [[2, 3, 2], indices([3, 2], 0, 0, 1, 2, 0, 1), [3, 2]] },
  ...['add', 'min', 'max'].map((reduction): Row => ({ op: 'ScatterND', inputs: [[4, 3], indices([3, 1], 3, 0, 3), [3, 3]], options: { reduction } })),
  { op: 'TopK', inputs: [[3, 5], whole(2)], use: { outputs: 2, joined: [0] } },
  { op: 'TopK', inputs: [[4, 2, 3], whole(3)], options: { axis: 0, largest: 0 }, use: { outputs: 2, joined: [0] } },
];
