import type { Row } from './row';
import { indices, truth } from './row';

export const attention: readonly Row[] = [
  {
    op: 'Attention',
    inputs: [
      [2, 2, 3, 4],
      [2, 2, 5, 4],
      [2, 2, 5, 3],
    ],
    opset: 23,
  },
  {
    op: 'Attention',
    inputs: [
      [2, 3, 8],
      [2, 5, 8],
      [2, 5, 6],
    ],
    options: { q_num_heads: 2, kv_num_heads: 2 },
    opset: 23,
  },
  {
    op: 'Attention',
    inputs: [
      [2, 4, 3, 2],
      [2, 2, 4, 2],
      [2, 2, 4, 2],
    ],
    options: { scale: 0.4 },
    opset: 23,
  },
  {
    op: 'Attention',
    inputs: [
      [1, 2, 4, 2],
      [1, 2, 4, 2],
      [1, 2, 4, 2],
    ],
    options: { is_causal: 1 },
    opset: 23,
  },
  {
    op: 'Attention',
    inputs: [
      [2, 2, 2, 3],
      [2, 2, 3, 3],
      [2, 2, 3, 3],
      [2, 3],
    ],
    opset: 23,
  },
  {
    op: 'Attention',
    inputs: [[2, 2, 2, 3], [2, 2, 3, 3], [2, 2, 3, 3], truth],
    opset: 23,
  },
  {
    op: 'Attention',
    inputs: [
      [2, 2, 2, 3],
      [2, 2, 3, 3],
      [2, 2, 3, 3],
      [2, 1, 2, 3],
    ],
    options: { softcap: 2 },
    opset: 24,
  },
  {
    op: 'Attention',
    inputs: [[1, 2, 2, 3], [1, 2, 2, 3], [1, 2, 2, 3], undefined, [1, 2, 3, 3], [1, 2, 3, 3]],
    opset: 23,
    use: { outputs: 3, joined: [0, 1, 2] },
  },
  {
    op: 'Attention',
    inputs: [[1, 2, 2, 3], [1, 2, 2, 3], [1, 2, 2, 3], undefined, [1, 2, 3, 3], [1, 2, 3, 3]],
    options: { is_causal: 1 },
    opset: 23,
    use: { outputs: 3, joined: [0] },
  },
  { op: 'RotaryEmbedding', inputs: [[2, 2, 3, 4], [6, 2], [6, 2], indices([2, 3], 0, 1, 2, 3, 5, 4)], opset: 23 },
  {
    op: 'RotaryEmbedding',
    inputs: [
      [2, 3, 8],
      [2, 3, 2],
      [2, 3, 2],
    ],
    options: { num_heads: 2, interleaved: 1 },
    opset: 23,
  },
  {
    op: 'RotaryEmbedding',
    inputs: [
      [2, 2, 3, 6],
      [2, 3, 2],
      [2, 3, 2],
    ],
    options: { rotary_embedding_dim: 4 },
    opset: 23,
  },
];
