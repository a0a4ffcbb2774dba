import { bitsAt, purposes, streamOf } from '../random';
import type { Tensor } from '../onnx/graph';
import { sizeOf } from '../onnx/graph';

/** Uniform numbers in [-bound, bound), from (seed, which parameter, which element) alone. */
export function uniformTensor(shape: readonly number[], bound: number, seed: number, parameter: number): Tensor {
  const data = new Float32Array(sizeOf(shape));
  const stream = streamOf(purposes.initialParams, seed, parameter);
  for (let i = 0; i < data.length; i++) data[i] = bound * ((bitsAt(stream, i) / 2 ** 32) * 2 - 1);
  return { type: 'float32', shape, data };
}

export const filled = (shape: readonly number[], value: number): Tensor => ({
  type: 'float32',
  shape,
  data: new Float32Array(sizeOf(shape)).fill(value),
});

/** He et al. 2015, for layers before a rectifier. */
export const heBound = (fanIn: number): number => Math.sqrt(6 / fanIn);
/** Glorot & Bengio 2010, for all others. */
export const glorotBound = (fanIn: number, fanOut: number): number => Math.sqrt(6 / (fanIn + fanOut));
