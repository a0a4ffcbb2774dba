/** An ONNX graph as plain data: what the codec reads and writes, and what the rest of `training/` works on. */

/** Element types that smlt computes with, by their ONNX number. */
export const elementTypeNumbers = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float64: 11 } as const;
export type ElementType = keyof typeof elementTypeNumbers;
export type TensorData = Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array | Int8Array;

export interface Tensor {
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly data: TensorData;
  /** What the file holds, where it is not `type`: a narrower or wider float that smlt computes in float32. */
  readonly storedAs?: 'float16' | 'bfloat16' | 'float64';
}

export type Attribute =
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'tensor'; readonly value: Tensor }
  | { readonly kind: 'ints'; readonly value: readonly number[] }
  | { readonly kind: 'floats'; readonly value: readonly number[] }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  | { readonly kind: 'graph'; readonly value: Graph }
  /** Sparse tensors and types: read past, refused where an operator needs them. */
  | { readonly kind: 'other' };
export type Attributes = Readonly<Record<string, Attribute>>;

export interface Node {
  readonly op: string;
  /** Empty for ONNX's own operators. */
  readonly domain: string;
  readonly name: string;
  /** An empty name stands for an optional input that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Attributes;
  /** The line of the user's code that made it, where the exporter kept it. */
  readonly source?: string;
  /** Of a Gather: the row that no gradient reaches, PyTorch's `padding_idx`, which ONNX cannot say. */
  readonly paddingIndex?: number;
}

export interface ValueInfo {
  readonly name: string;
  readonly type: ElementType;
  /** A string is a symbolic axis, the batch; undefined where the file gives no shape. */
  readonly shape: readonly (number | string)[] | undefined;
}

export interface Graph {
  readonly name: string;
  readonly opset: number;
  readonly nodes: readonly Node[];
  readonly initializers: ReadonlyMap<string, Tensor>;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** What the exporter says about the graph, by key; read, not written. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** The program that wrote the file, with its version. */
  readonly producer?: string;
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, axis) => product * axis, 1);

export const int = (value: number): Attribute => ({ kind: 'int', value });
export const ints = (value: readonly number[]): Attribute => ({ kind: 'ints', value });
export const float = (value: number): Attribute => ({ kind: 'float', value });
export const text = (value: string): Attribute => ({ kind: 'string', value });

export const floatTensor = (shape: readonly number[], data: ArrayLike<number>): Tensor => ({ type: 'float32', shape, data: Float32Array.from(data) });
export const intTensor = (shape: readonly number[], data: readonly number[]): Tensor => ({
  type: 'int64',
  shape,
  data: BigInt64Array.from(data, (value) => BigInt(value)),
});

/** A tensor's elements as numbers, in order. */
export const numbersOf = (tensor: Tensor): number[] => Array.from(tensor.data as ArrayLike<number | bigint>, Number);

/** Puts numbers into the array kind of an element type. */
export function dataOf(type: ElementType, values: readonly number[]): TensorData {
  switch (type) {
    case 'float32':
      return Float32Array.from(values);
    case 'float64':
      return Float64Array.from(values);
    case 'int32':
      return Int32Array.from(values);
    case 'int64':
      // Exporters write INT64_MAX for "to the end", whose double would overflow.
      return BigInt64Array.from(values, (value) => BigInt(Math.max(-(2 ** 62), Math.min(2 ** 62, Math.trunc(value)))));
    case 'uint8':
    case 'bool':
      return Uint8Array.from(values);
    case 'int8':
      return Int8Array.from(values);
  }
}
