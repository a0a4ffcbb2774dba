import type { Row } from './row';
import { indices, whole } from './row';

export const shapes: readonly Row[] = [
  { op: 'Reshape', inputs: [[2, 3, 4], whole(0, -1)] },
  { op: 'Flatten', inputs: [[2, 3, 4]], options: { axis: 2 } },
  { op: 'Squeeze', inputs: [[2, 1, 4, 1], whole(-1)] },
  { op: 'Unsqueeze', inputs: [[2, 4], whole(0, -1)] },
  { op: 'Transpose', inputs: [[2, 3, 4]] },
  { op: 'Transpose', inputs: [[2, 3, 4, 5]], options: { perm: [2, 0, 3, 1] } },
  { op: 'Expand', inputs: [[3, 1], whole(2, 1, 4)] },
  { op: 'Tile', inputs: [[2, 3], whole(2, 3)] },
  {
    op: 'Concat',
    inputs: [
      [2, 3],
      [2, 1],
      [2, 4],
    ],
    options: { axis: -1 },
  },
  { op: 'Split', inputs: [[7, 2]], options: { axis: 0, num_outputs: 3 }, use: { outputs: 3, joined: [2, 0, 1] } },
  { op: 'Split', inputs: [[7, 2], whole(2, 4, 1)], options: { axis: 0 }, use: { outputs: 3, joined: [1, 2] } },
  { op: 'Slice', inputs: [[5, 6], whole(1, -4), whole(4, 100), whole(0, 1)] },
  { op: 'Slice', inputs: [[5, 7], whole(1), whole(7), whole(1), whole(2)] },
  { op: 'Slice', inputs: [[5, 8], whole(-1), whole(-100), whole(1), whole(-3)] },
  { op: 'Pad', inputs: [[2, 3], whole(1, 0, 2, 1)] },
  { op: 'Pad', inputs: [[4, 5], whole(-1, 2, 1, -2)] },
  ...['reflect', 'edge', 'wrap'].map((mode): Row => ({ op: 'Pad', inputs: [[3, 4], whole(1, 2, 2, 1)], options: { mode } })),
  { op: 'Pad', inputs: [[2, 3, 4], whole(2, 1), undefined, whole(-1)], options: { mode: 'reflect' } },
  { op: 'Trilu', inputs: [[2, 3, 4]] },
  { op: 'Trilu', inputs: [[4, 3], indices([], -1)], options: { upper: 0 } },
  ...[0, 1].flatMap((exclusive) =>
    [0, 1].map((reverse): Row => ({ op: 'CumSum', inputs: [[3, 4], indices([], -1)], options: { exclusive, reverse } })),
  ),
  { op: 'ReverseSequence', inputs: [[4, 3, 2], whole(2, 4, 1)], options: { time_axis: 0, batch_axis: 1 } },
  { op: 'DepthToSpace', inputs: [[2, 8, 2, 3]], options: { blocksize: 2 } },
  { op: 'DepthToSpace', inputs: [[2, 8, 2, 3]], options: { blocksize: 2, mode: 'CRD' } },
  { op: 'SpaceToDepth', inputs: [[2, 3, 4, 6]], options: { blocksize: 2 } },
];
