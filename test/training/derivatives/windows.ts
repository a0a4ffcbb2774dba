import type { Row } from './row';
import { floats, image, indices, whole } from './row';

export const windows: readonly Row[] = [
  { op: 'Conv', inputs: [image, [4, 3, 3, 3], [4]] },
  { op: 'Conv', inputs: [image, [4, 3, 3, 3]], options: { pads: [1, 0, 2, 1], strides: [2, 1] } },
  { op: 'Conv', inputs: [image, [2, 3, 5, 5], [2]], options: { pads: [2, 2, 2, 2] } },
  { op: 'Conv', inputs: [image, [2, 3, 4, 4]], options: { pads: [1, 1, 1, 1], strides: [2, 3] } },
  { op: 'Conv', inputs: [[2, 4, 7, 7], [6, 2, 2, 2], [6]], options: { group: 2, dilations: [2, 1], strides: [1, 2] } },
  {
    op: 'Conv',
    inputs: [
      [2, 3, 6, 6],
      [3, 1, 3, 3],
    ],
    options: { group: 3, pads: [1, 1, 1, 1], strides: [2, 2] },
  },
  {
    op: 'Conv',
    inputs: [
      [2, 3, 7, 7],
      [2, 3, 4, 4],
    ],
    options: { dilations: [2, 2], strides: [2, 2], pads: [2, 2, 2, 2] },
  },
  { op: 'Conv', inputs: [image, [5, 3, 1, 1]] },
  { op: 'Conv', inputs: [[2, 2, 9], [3, 2, 3], [3]], options: { strides: [2] } },
  {
    op: 'Conv',
    inputs: [
      [1, 2, 4, 4, 4],
      [2, 2, 2, 2, 2],
    ],
  },
  { op: 'ConvTranspose', inputs: [[2, 3, 4, 4], [3, 2, 3, 3], [2]], options: { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] } },
  {
    op: 'ConvTranspose',
    inputs: [
      [2, 4, 3, 3],
      [4, 1, 2, 2],
    ],
    options: { group: 2, strides: [2, 1] },
  },
  { op: 'MaxPool', inputs: [image], options: { kernel_shape: [2, 2], strides: [2, 2] } },
  { op: 'MaxPool', inputs: [image], options: { kernel_shape: [3, 2], strides: [3, 2] } },
  { op: 'MaxPool', inputs: [image], options: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } },
  { op: 'MaxPool', inputs: [[2, 3, 5, 5]], options: { kernel_shape: [2, 2], strides: [2, 2] } },
  { op: 'MaxPool', inputs: [[2, 3, 8]], options: { kernel_shape: [2], strides: [2] } },
  { op: 'AveragePool', inputs: [image], options: { kernel_shape: [2, 2], strides: [2, 2] } },
  { op: 'AveragePool', inputs: [image], options: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } },
  { op: 'AveragePool', inputs: [image], options: { kernel_shape: [3, 3], strides: [1, 2], pads: [1, 1, 1, 1], count_include_pad: 1 } },
  { op: 'AveragePool', inputs: [[1, 2, 5, 5]], options: { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 } },
  { op: 'GlobalAveragePool', inputs: [image] },
  { op: 'GlobalMaxPool', inputs: [image] },
  ...['SAME_UPPER', 'SAME_LOWER', 'VALID'].map((auto_pad): Row => ({
    op: 'Conv',
    inputs: [
      [1, 2, 7, 6],
      [3, 2, 2, 3],
    ],
    options: { auto_pad, strides: [2, 1] },
  })),
  {
    op: 'Conv',
    inputs: [
      [2, 4, 9],
      [4, 1, 3],
    ],
    options: { group: 4, dilations: [2], pads: [2, 2] },
  },
  {
    op: 'Conv',
    inputs: [[1, 4, 4, 3, 4], [2, 2, 3, 1, 2], [2]],
    options: { group: 2, strides: [2, 1, 1], pads: [1, 0, 1, 1, 0, 0], dilations: [1, 1, 2] },
  },
  ...['SAME_UPPER', 'SAME_LOWER', 'VALID'].map((auto_pad): Row => ({
    op: 'ConvTranspose',
    inputs: [
      [1, 2, 3, 4],
      [2, 3, 3, 2],
    ],
    options: { auto_pad, strides: [2, 2] },
  })),
  { op: 'ConvTranspose', inputs: [[1, 2, 3, 3], [2, 2, 3, 3], [2]], options: { output_shape: [6, 5], strides: [2, 2] } },
  { op: 'ConvTranspose', inputs: [[2, 2, 5], [2, 3, 3], [3]], options: { strides: [2], dilations: [2], pads: [1, 0], output_padding: [1] } },
  {
    op: 'ConvTranspose',
    inputs: [
      [1, 4, 2, 2, 3],
      [4, 1, 2, 3, 2],
    ],
    options: { group: 2, strides: [1, 2, 2] },
  },
  {
    op: 'ConvTranspose',
    inputs: [
      [1, 3, 4, 4],
      [3, 1, 3, 3],
    ],
    options: { group: 3, strides: [2, 2], pads: [1, 1, 1, 1], dilations: [1, 2] },
  },
  { op: 'MaxPool', inputs: [[1, 2, 7, 7]], options: { kernel_shape: [2, 3], dilations: [2, 1], strides: [1, 2], ceil_mode: 1 } },
  { op: 'MaxPool', inputs: [[1, 2, 4, 4, 4]], options: { kernel_shape: [2, 2, 2], strides: [2, 2, 2] } },
  { op: 'AveragePool', inputs: [[1, 2, 7]], options: { kernel_shape: [3], strides: [2], pads: [1, 1] } },
  { op: 'AveragePool', inputs: [[1, 2, 7, 7]], options: { kernel_shape: [2, 3], dilations: [2, 1] } },
  ...['half_pixel', 'pytorch_half_pixel', 'align_corners', 'asymmetric', 'half_pixel_symmetric'].flatMap((coordinate_transformation_mode): Row[] => [
    ...['linear', 'cubic'].flatMap((mode): Row[] => [
      { op: 'Resize', inputs: [[2, 2, 3, 4], undefined, undefined, whole(2, 2, 5, 7)], options: { mode, coordinate_transformation_mode } },
      { op: 'Resize', inputs: [[1, 2, 5, 6], undefined, floats(1, 1, 0.6, 2)], options: { mode, coordinate_transformation_mode } },
    ]),
    ...['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'].map((nearest_mode): Row => ({
      op: 'Resize',
      inputs: [[2, 1, 3, 4], undefined, undefined, whole(2, 1, 5, 2)],
      options: { mode: 'nearest', coordinate_transformation_mode, nearest_mode },
    })),
  ]),
  {
    op: 'Resize',
    inputs: [[2, 3, 3, 2], undefined, floats(1, 1, 2, 3)],
    options: { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' },
  },
  { op: 'Resize', inputs: [[2, 3, 4], undefined, floats(1, 1, 2)], options: { mode: 'linear' } },
  { op: 'Resize', inputs: [[1, 1, 6, 8], undefined, floats(1, 1, 0.5, 0.5)], options: { mode: 'linear', antialias: 1 } },
  { op: 'Resize', inputs: [[1, 1, 6, 8], undefined, floats(1, 1, 0.5, 0.5)], options: { mode: 'cubic', antialias: 1 } },
  { op: 'Resize', inputs: [[1, 1, 4, 4], undefined, floats(1, 1, 2, 1.5)], options: { mode: 'cubic', exclude_outside: 1, cubic_coeff_a: -0.5 } },
  { op: 'LRN', inputs: [[2, 5, 2, 2]], options: { size: 3, alpha: 0.4, beta: 0.6, bias: 1.5 } },
  { op: 'LRN', inputs: [[2, 5, 3]], options: { size: 4, alpha: 0.4 }, notInRuntime: 'it takes images only' },
  { op: 'Col2Im', inputs: [[2, 12, 6], whole(4, 5), whole(2, 3)], options: { strides: [2, 1] } },
  { op: 'Col2Im', inputs: [[1, 8, 9], whole(4, 4), whole(2, 2)], options: { pads: [1, 1, 1, 1], strides: [2, 2] } },
  {
    op: 'MaxUnpool',
    inputs: [[1, 1, 2, 2], indices([1, 1, 2, 2], 5, 7, 13, 8), whole(1, 1, 4, 4)],
    options: { kernel_shape: [2, 2], strides: [2, 2] },
  },
  ...['zeros', 'border', 'reflection'].flatMap((padding_mode) =>
    [0, 1].map((align_corners): Row => ({
      op: 'GridSample',
      inputs: [[2, 3, 4, 5], { shape: [2, 3, 2, 2], between: [-1.3, 1.3] }],
      options: { padding_mode, align_corners, mode: 'linear' },
    })),
  ),
  {
    op: 'GridSample',
    inputs: [[1, 2, 4, 5], { fixed: [0.1, 0.3, -0.7, 0.9, 1.2, -0.2], shape: [1, 3, 1, 2], type: 'float32' }],
    options: { mode: 'nearest' },
  },
  ...[0, 1].map((align_corners): Row => ({ op: 'AffineGrid', inputs: [[2, 2, 3], whole(2, 1, 3, 4)], options: { align_corners } })),
  { op: 'AffineGrid', inputs: [[1, 3, 4], whole(1, 1, 2, 3, 2)] },
];
