import { GraphWriter } from './graph-writer';
import type { Graph } from './onnx/graph';

/**
 * A small fixed graph through the kernels that ONNX Runtime picks by CPU: convolution, matrix product, vectorised
 * functions and sums. Equal output bits mean equal training bits, as far as one look can tell.
 * `cpu-probe-model.ts` holds it encoded, so that a function need not load the codec; a test keeps the two equal.
 */
export const PROBE_SHAPE = [4, 3, 17, 17] as const;

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
