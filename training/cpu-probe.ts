import { blockedConv, CHANNEL_BLOCK, toBlocks } from './channel-blocks';
import { GraphWriter } from './graph-writer';
import type { Graph } from './onnx/graph';

/**
 * A small fixed graph through the kernels that ONNX Runtime picks by CPU: convolution, matrix product, vectorised
 * functions and sums. Equal output bits mean equal training bits, as far as one look can tell.
 * `cpu-probe-model.ts` holds this and the next one encoded, so that a function need not load the codec; a test keeps them equal.
 */
const PROBE_SHAPE = [4, 3, 17, 17] as const;

export function probeGraph(): Graph {
  const g = new GraphWriter();
  const x = g.define({ name: 'x', shape: PROBE_SHAPE, type: 'float32' });
  const w = g.define({ name: 'w', shape: [20, 3, 3, 3], type: 'float32' });
  const m = g.define({ name: 'm', shape: [180, 33], type: 'float32' });
  const window = { kernel: [3, 3], strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1] };
  const convolved = g.conv(x, w, window, 1);
  const pooled = g.averagePool(convolved, { kernel: [3, 3], strides: [6, 6], dilations: [1, 1], pads: [0, 0, 0, 0] });
  const product = g.matmul(g.reshape(pooled, [4, 180]), m);
  const curved = g.add(g.unary('Tanh', product), g.add(g.unary('Erf', product), g.unary('Sigmoid', product)));
  const logP = g.emit('LogSoftmax', [product], product, { axis: { kind: 'int', value: 1 } });
  return g.graph('cpu-probe', [x, w, m], [product, curved, logP, g.sum(convolved, [2, 3])]);
}

/** Whole blocks into the blocked layout, whose order tells the block's size, and through the convolution on them. */
export function blockProbeGraph(): Graph {
  const g = new GraphWriter(undefined, true);
  const x = g.define({ name: 'x', shape: [1, 2 * CHANNEL_BLOCK, 5, 5], type: 'float32' });
  const w = g.define({ name: 'w', shape: [2 * CHANNEL_BLOCK, 2 * CHANNEL_BLOCK, 3, 3], type: 'float32' });
  const blocks = toBlocks(g, x);
  const window = { kernel: [3, 3], strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1] };
  return g.graph('block-probe', [x, w], [blocks, blockedConv(g, blocks, w, window, x.shape)]);
}
