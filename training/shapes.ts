import { SmltError } from '../contracts/errors';
import type { ElementType, Tensor } from './onnx/graph';

/** A value of a graph whose batch is fixed: everything about it is known before it runs. */
export interface Value {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: ElementType;
  /** Its elements, where they are known: initialisers that do not train, and what is computed from them. */
  readonly constant?: Tensor | undefined;
  /** The elements of a sequence, which is nothing that runs: whoever reads from it reads from them. */
  readonly sequence?: readonly Value[] | undefined;
}
export interface TypeAndShape {
  readonly shape: readonly number[];
  readonly type: ElementType;
}

export const show = (shape: readonly (number | string)[]): string => `[${shape.join(', ')}]`;
export const sameShape = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((axis, i) => axis === b[i]);

/** An axis counted from the end becomes one counted from the start. */
export const axisOf = (axis: number, rank: number): number => {
  if (axis < -rank || axis >= rank) throw new SmltError('InvalidModel', `axis ${axis} lies outside a tensor of rank ${rank}`);
  return axis < 0 ? axis + rank : axis;
};

/** ONNX's (numpy's) broadcasting. @throws {SmltError} `InvalidModel` when the shapes do not fit. */
export function broadcast(...shapes: (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, i) => {
    let axis = 1;
    for (const shape of shapes) {
      const own = shape[i - rank + shape.length] ?? 1;
      if (own !== 1 && axis !== 1 && own !== axis) throw new SmltError('InvalidModel', `shapes ${shapes.map(show).join(' and ')} do not broadcast`);
      if (own !== 1) axis = own;
    }
    return axis;
  });
}

export function matmulShape(a: readonly number[], b: readonly number[]): number[] {
  const k = a.at(-1);
  if (k !== b.at(-2)) throw new SmltError('InvalidModel', `matrices ${show(a)} and ${show(b)} do not multiply: ${k} is not ${b.at(-2)}`);
  return [...broadcast(a.slice(0, -2), b.slice(0, -2)), a.at(-2) ?? 1, b.at(-1) ?? 1];
}

export function reducedShape(shape: readonly number[], axes: readonly number[], keepDims: boolean): number[] {
  return keepDims ? shape.map((axis, i) => (axes.includes(i) ? 1 : axis)) : shape.filter((_, i) => !axes.includes(i));
}

/** A sliding window over the spatial axes, as Conv and the pools have it. `pads`: begins, then ends. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
  readonly ceil?: boolean;
}

export const reach = (kernel: number, dilation: number): number => (kernel - 1) * dilation + 1;

export function windowShape(spatial: readonly number[], { kernel, strides, dilations, pads, ceil = false }: Window): number[] {
  return spatial.map((size, i) => {
    const [begin, end] = [pads[i] ?? 0, pads[i + spatial.length] ?? 0];
    const stride = strides[i] ?? 1;
    const free = size + begin + end - reach(kernel[i] ?? 1, dilations[i] ?? 1);
    if (free < 0) throw new SmltError('InvalidModel', `a window of ${show(kernel)} does not fit into ${show(spatial)} with padding ${show(pads)}`);
    if (!ceil) return Math.floor(free / stride) + 1;
    const out = Math.ceil(free / stride) + 1;
    // The last window must start inside the input or its left padding.
    return (out - 1) * stride >= size + begin ? out - 1 : out;
  });
}

/** Resolves `auto_pad` to explicit pads. */
export function autoPads(mode: string, spatial: readonly number[], { kernel, strides, dilations, pads }: Window): readonly number[] {
  if (mode === 'NOTSET' || mode === '') return pads;
  if (mode === 'VALID') return spatial.flatMap(() => [0, 0]);
  const totals = spatial.map((size, i) => {
    const stride = strides[i] ?? 1;
    return Math.max((Math.ceil(size / stride) - 1) * stride + reach(kernel[i] ?? 1, dilations[i] ?? 1) - size, 0);
  });
  const small = totals.map((total) => Math.floor(total / 2));
  const large = totals.map((total, i) => total - (small[i] ?? 0));
  return mode === 'SAME_UPPER' ? [...small, ...large] : [...large, ...small];
}

export function permuted(shape: readonly number[], perm: readonly number[]): number[] {
  return perm.map((axis) => shape[axis] ?? 1);
}
