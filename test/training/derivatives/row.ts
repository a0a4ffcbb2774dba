import type { Options } from '../reference/arrays';

/** An input that trains is a shape, with values from a range; one that does not is given with its elements. */
export type Input =
  | readonly number[]
  | { readonly shape: readonly number[]; readonly between: readonly [number, number] }
  | { readonly fixed: readonly number[]; readonly shape?: readonly number[]; readonly type?: 'int64' | 'int32' | 'float32' | 'bool' }
  | undefined;
export interface Row {
  readonly op: string;
  readonly inputs: readonly Input[];
  readonly options?: Options;
  /** For an operator of several outputs: which are used, one after the other. */
  readonly use?: { readonly outputs: number; readonly joined: readonly number[] };
  /** The operator set of the model; the oldest that smlt writes when left out. */
  readonly opset?: number;
  /** Why ONNX Runtime has no kernel for this form, so that only smlt's own runs. */
  readonly notInRuntime?: string;
}

export const positive = (shape: readonly number[]): Input => ({ shape, between: [0.3, 2] });
export const wide = (shape: readonly number[]): Input => ({ shape, between: [-5, 5] });
export const whole = (...fixed: number[]): Input => ({ fixed, type: 'int64' });
export const floats = (...fixed: number[]): Input => ({ fixed, type: 'float32' });
export const scalar = (value: number): Input => ({ fixed: [value], shape: [], type: 'float32' });
export const indices = (shape: readonly number[], ...fixed: number[]): Input => ({ fixed, shape, type: 'int64' });

export const image = [2, 3, 6, 6];
export const unary = (op: string, input: Input = wide([3, 4]), options: Options = {}): Row => ({ op, inputs: [input], options });
export const pairs: readonly (readonly [readonly number[], readonly number[]])[] = [
  [
    [2, 3],
    [2, 3],
  ],
  [[2, 3], [3]],
  [[3], [2, 3]],
  [[2, 3], []],
  [[], [2, 3]],
  [
    [2, 1],
    [1, 3],
  ],
  [
    [2, 1, 3],
    [4, 1],
  ],
  [[1], [2, 3]],
];
export const binary = (op: string, first = (shape: readonly number[]): Input => shape, second = first): Row[] =>
  pairs.map(([a, b]) => ({ op, inputs: [first(a), second(b)] }));
export const reduce = (op: string, of = (shape: readonly number[]): Input => shape): Row[] => [
  { op, inputs: [of([2, 3, 4]), whole(1)], options: { keepdims: 0 } },
  { op, inputs: [of([2, 3, 4]), whole(-1, 0)], options: { keepdims: 1 } },
  { op, inputs: [of([2, 3]), undefined], options: { keepdims: 0 } },
];
export const truth: Input = { fixed: [1, 0, 0, 1, 1, 0], shape: [2, 3], type: 'bool' };
