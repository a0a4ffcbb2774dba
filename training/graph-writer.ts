import type { Attributes, ElementType, Graph, Node, Tensor } from './onnx/graph';
import { dataOf, float, int, ints as intsAttribute, intTensor, sizeOf, text } from './onnx/graph';
import type { TypeAndShape, Value, Window } from './shapes';
import { axisOf, broadcast, matmulShape, permuted, reducedShape, sameShape, windowShape } from './shapes';

type Unary =
  | 'Neg'
  | 'Exp'
  | 'Log'
  | 'Sqrt'
  | 'Abs'
  | 'Sign'
  | 'Tanh'
  | 'Sigmoid'
  | 'Erf'
  | 'Relu'
  | 'Softplus'
  | 'Softsign'
  | 'Reciprocal'
  | 'Sin'
  | 'Cos'
  | 'Sinh'
  | 'Cosh'
  | 'Floor'
  | 'Round'
  | 'Not';
type Binary = 'Add' | 'Sub' | 'Mul' | 'Div' | 'Pow' | 'Min' | 'Max';
type Comparison = 'Equal' | 'Less' | 'Greater' | 'LessOrEqual' | 'GreaterOrEqual';
/** A number stands for a scalar of the other operand's type. */
export type Operand = Value | number;

/** The operator set that smlt writes; a newer one of an imported graph is kept. */
export const OPSET = 20;

/**
 * Writes an ONNX graph whose shapes are all known, node after node. Each method appends nodes and returns the value
 * they make; a rule of `vjp/` says a derivative with them.
 */
export class GraphWriter {
  readonly nodes: Node[] = [];
  readonly initializers = new Map<string, Tensor>();
  /** Every value ever made, by name: the source of the memory estimate. */
  readonly values = new Map<string, Value>();
  private readonly constants = new Map<string, Value>();
  private made = 0;

  /** @param blocked  the graph may use ONNX Runtime's blocked layout, see channel-blocks.ts */
  constructor(
    readonly opset: number = OPSET,
    readonly blocked = false,
  ) {}

  /** Makes a graph's own value known under its own name. */
  define(value: Value): Value {
    this.values.set(value.name, value);
    if (value.constant) this.initializers.set(value.name, value.constant);
    return value;
  }

  /** Appends one node with one output. */
  emit(op: string, inputs: readonly (Value | undefined)[], { shape, type }: TypeAndShape, attributes: Attributes = {}, domain = ''): Value {
    return this.emitMany(op, inputs, [{ shape, type }], attributes, domain)[0] as Value;
  }

  emitMany(op: string, inputs: readonly (Value | undefined)[], outputs: readonly TypeAndShape[], attributes: Attributes = {}, domain = ''): Value[] {
    const names = inputs.map((input) => input?.name ?? '');
    while (names.at(-1) === '') names.pop();
    const values = outputs.map(({ shape, type }) => this.define({ name: this.freshName(op), shape, type }));
    this.nodes.push({ op, domain, name: values[0]?.name ?? op, inputs: names, outputs: values.map(({ name }) => name), attributes });
    return values;
  }

  freshName(stem: string): string {
    let name: string;
    do name = `smlt.${stem}.${this.made++}`;
    while (this.values.has(name));
    return name;
  }

  constant(tensor: Tensor): Value {
    const key = `${tensor.type}[${tensor.shape.join()}]${tensor.data.length <= 64 ? Array.from(tensor.data as ArrayLike<number | bigint>).join() : `#${this.made}`}`;
    let value = this.constants.get(key);
    if (!value) {
      value = this.define({ name: this.freshName('constant'), shape: tensor.shape, type: tensor.type, constant: tensor });
      this.constants.set(key, value);
    }
    return value;
  }

  scalar(value: number, type: ElementType = 'float32'): Value {
    return this.constant({ type, shape: [], data: dataOf(type, [value]) });
  }

  /** A vector of int64, as shapes, axes and pads are passed. */
  ints(values: readonly number[]): Value {
    return this.constant(intTensor([values.length], values));
  }

  full(shape: readonly number[], value: number, type: ElementType = 'float32'): Value {
    return this.expand(this.scalar(value, type), shape);
  }

  unary(op: Unary, x: Value): Value {
    return this.emit(op, [x], x);
  }

  private pair(a: Operand, b: Operand): [Value, Value] {
    const type = typeof a === 'number' ? (b as Value).type : a.type;
    return [typeof a === 'number' ? this.scalar(a, type) : a, typeof b === 'number' ? this.scalar(b, type) : b];
  }

  binary(op: Binary, a: Operand, b: Operand): Value {
    const [x, y] = this.pair(a, b);
    return this.emit(op, [x, y], { shape: broadcast(x.shape, y.shape), type: x.type });
  }

  compare(op: Comparison, a: Operand, b: Operand): Value {
    const [x, y] = this.pair(a, b);
    return this.emit(op, [x, y], { shape: broadcast(x.shape, y.shape), type: 'bool' });
  }

  add = (a: Operand, b: Operand): Value => this.binary('Add', a, b);
  sub = (a: Operand, b: Operand): Value => this.binary('Sub', a, b);
  mul = (a: Operand, b: Operand): Value => (b === 1 ? (a as Value) : a === 1 ? (b as Value) : this.binary('Mul', a, b));
  div = (a: Operand, b: Operand): Value => this.binary('Div', a, b);
  neg = (x: Value): Value => this.unary('Neg', x);
  square = (x: Value): Value => this.mul(x, x);

  where(condition: Value, a: Operand, b: Operand): Value {
    const [x, y] = this.pair(a, b);
    return this.emit('Where', [condition, x, y], { shape: broadcast(condition.shape, x.shape, y.shape), type: x.type });
  }

  cast(x: Value, type: ElementType): Value {
    return x.type === type
      ? x
      : this.emit(
          'Cast',
          [x],
          { shape: x.shape, type },
          { to: int({ float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float64: 11 }[type]) },
        );
  }

  /** 1 where the condition holds, 0 elsewhere. */
  mask = (condition: Value, type: ElementType = 'float32'): Value => this.cast(condition, type);

  matmul(a: Value, b: Value): Value {
    return this.emit('MatMul', [a, b], { shape: matmulShape(a.shape, b.shape), type: a.type });
  }

  /** `alpha` A'·B' + `c` of matrices, where ' transposes on the flag. */
  gemm(a: Value, b: Value, { transA = false, transB = false, alpha = 1 } = {}, c?: Value): Value {
    const [m, n] = [a.shape[transA ? 1 : 0] ?? 1, b.shape[transB ? 0 : 1] ?? 1];
    const attributes = { ...(transA && { transA: int(1) }), ...(transB && { transB: int(1) }), ...(alpha !== 1 && { alpha: float(alpha) }) };
    return this.emit('Gemm', [a, b, c], { shape: [m, n], type: a.type }, attributes);
  }

  transpose(x: Value, perm: readonly number[]): Value {
    if (perm.every((axis, i) => axis === i)) return x;
    return this.emit('Transpose', [x], { shape: permuted(x.shape, perm), type: x.type }, { perm: intsAttribute(perm) });
  }

  swapLast(x: Value): Value {
    const perm = x.shape.map((_, i) => i);
    [perm[perm.length - 2], perm[perm.length - 1]] = [perm.length - 1, perm.length - 2];
    return this.transpose(x, perm);
  }

  reshape(x: Value, shape: readonly number[]): Value {
    return sameShape(x.shape, shape) ? x : this.emit('Reshape', [x, this.ints(shape)], { shape, type: x.type }, { allowzero: int(1) });
  }

  expand(x: Value, shape: readonly number[]): Value {
    return sameShape(x.shape, shape) ? x : this.emit('Expand', [x, this.ints(shape)], { shape, type: x.type });
  }

  private reduce(op: 'ReduceSum' | 'ReduceMean' | 'ReduceMax' | 'ReduceProd', x: Value, axes: readonly number[], keepDims: boolean): Value {
    if (axes.length === 0) return x;
    const shape = reducedShape(x.shape, axes, keepDims);
    return this.emit(op, [x, this.ints(axes)], { shape, type: x.type }, { keepdims: int(keepDims ? 1 : 0) });
  }

  sum = (x: Value, axes: readonly number[], keepDims = false): Value => this.reduce('ReduceSum', x, axes, keepDims);
  mean = (x: Value, axes: readonly number[], keepDims = false): Value => this.reduce('ReduceMean', x, axes, keepDims);
  product = (x: Value, axes: readonly number[], keepDims = false): Value => this.reduce('ReduceProd', x, axes, keepDims);
  sumAll = (x: Value): Value =>
    this.sum(
      x,
      x.shape.map((_, i) => i),
    );

  /** Sums over the axes that broadcasting from `shape` had added or stretched. */
  sumTo(x: Value, shape: readonly number[]): Value {
    const lead = x.shape.length - shape.length;
    const axes = x.shape.flatMap((axis, i) => (i < lead || (shape[i - lead] === 1 && axis !== 1) ? [i] : []));
    return this.reshape(this.sum(x, axes), shape);
  }

  /** Parts of the given sizes along one axis. */
  split(x: Value, axis: number, sizes: readonly number[]): Value[] {
    if (sizes.length === 1) return [x];
    const parts = sizes.map((size) => ({ shape: x.shape.with(axis, size), type: x.type }));
    return this.emitMany('Split', [x, this.ints(sizes)], parts, { axis: int(axis) });
  }

  concat(values: readonly Value[], axis: number): Value {
    const first = values[0] as Value;
    if (values.length === 1) return first;
    const at = axisOf(axis, first.shape.length);
    const length = values.reduce((total, { shape }) => total + (shape[at] ?? 1), 0);
    return this.emit('Concat', values, { shape: first.shape.with(at, length), type: first.type }, { axis: int(at) });
  }

  /** Elements start, start + step, ... below `end` of one axis; all bounds inside the axis. */
  slice(x: Value, axis: number, start: number, end: number, step = 1): Value {
    const length = Math.ceil((end - start) / step);
    if (start === 0 && step === 1 && length === x.shape[axis]) return x;
    const inputs = [x, this.ints([start]), this.ints([end]), this.ints([axis]), this.ints([step])];
    return this.emit('Slice', inputs, { shape: x.shape.with(axis, length), type: x.type });
  }

  /** From `axis` on: `lengths[i]` elements of each axis, beginning at `starts[i]`, `steps[i]` apart. */
  slices(x: Value, axis: number, starts: readonly number[], lengths: readonly number[], steps: readonly number[]): Value {
    const ends = starts.map((start, i) => start + ((lengths[i] ?? 1) - 1) * (steps[i] ?? 1) + 1);
    if (starts.every((start, i) => start === 0 && (steps[i] ?? 1) === 1 && lengths[i] === x.shape[axis + i])) return x;
    const inputs = [x, this.ints(starts), this.ints(ends), this.ints(starts.map((_, i) => axis + i)), this.ints(steps)];
    const shape = x.shape.map((size, i) => lengths[i - axis] ?? size);
    return this.emit('Slice', inputs, { shape, type: x.type });
  }

  /** Zeros around; a negative number cuts off. `pads`: begins, then ends. */
  pad(x: Value, pads: readonly number[]): Value {
    if (pads.every((pad) => pad === 0)) return x;
    const shape = x.shape.map((axis, i) => axis + (pads[i] ?? 0) + (pads[i + x.shape.length] ?? 0));
    return this.emit('Pad', [x, this.ints(pads)], { shape, type: x.type }, { mode: text('constant') });
  }

  conv(x: Value, w: Value, window: Window, groups: number): Value {
    const shape = [x.shape[0] ?? 1, w.shape[0] ?? 1, ...windowShape(x.shape.slice(2), window)];
    return this.emit('Conv', [x, w], { shape, type: x.type }, { ...windowAttributes(window), group: int(groups) });
  }

  /** The transposed convolution whose result has `spatial` as its spatial shape: the adjoint of `conv` in its input. */
  convTranspose(x: Value, w: Value, window: Window, groups: number, spatial: readonly number[]): Value {
    const { kernel, strides, dilations, pads } = window;
    const extra = spatial.map(
      (size, i) =>
        size -
        (((x.shape[i + 2] ?? 1) - 1) * (strides[i] ?? 1) +
          ((kernel[i] ?? 1) - 1) * (dilations[i] ?? 1) +
          1 -
          (pads[i] ?? 0) -
          (pads[i + spatial.length] ?? 0)),
    );
    const shape = [x.shape[0] ?? 1, (w.shape[1] ?? 1) * groups, ...spatial];
    const attributes = {
      ...windowAttributes(window),
      group: int(groups),
      ...(extra.some((size) => size !== 0) && { output_padding: intsAttribute(extra) }),
    };
    return this.emit('ConvTranspose', [x, w], { shape, type: x.type }, attributes);
  }

  averagePool(x: Value, window: Window): Value {
    const shape = [...x.shape.slice(0, 2), ...windowShape(x.shape.slice(2), window)];
    const { dilations: _, ...attributes } = windowAttributes(window);
    return this.emit('AveragePool', [x], { shape, type: x.type }, { ...attributes, count_include_pad: int(1) });
  }

  /** Each spatial element repeated `factors` times along its axis. */
  repeatSpatial(x: Value, factors: readonly number[]): Value {
    if (factors.every((factor) => factor === 1)) return x;
    const scales = this.constant({ type: 'float32', shape: [factors.length + 2], data: Float32Array.from([1, 1, ...factors]) });
    const shape = x.shape.map((axis, i) => axis * (factors[i - 2] ?? 1));
    const attributes = { mode: text('nearest'), coordinate_transformation_mode: text('asymmetric'), nearest_mode: text('floor') };
    return this.emit('Resize', [x, undefined, scales], { shape, type: x.type }, attributes);
  }

  /** Zeros of `shape` with `updates` added at `indices` along one axis; indices that meet add up. */
  scatterAdd(shape: readonly number[], indices: Value, updates: Value, axis: number): Value {
    const zeros = this.full(shape, 0, updates.type);
    return this.emit('ScatterElements', [zeros, indices, updates], { shape, type: updates.type }, { axis: int(axis), reduction: text('add') });
  }

  /** Zeros of `shape` with updates added at indices `[…, depth]` into its first axes, in order: one thread, so the same bits. */
  scatterRows(shape: readonly number[], indices: Value, updates: Value): Value {
    const type = updates.type;
    return this.emit('ScatterND', [this.full(shape, 0, type), indices, updates], { shape, type }, { reduction: text('add') });
  }

  graph(name: string, inputs: readonly Value[], outputs: readonly Value[]): Graph {
    return pruned({
      name,
      opset: this.opset,
      nodes: this.nodes,
      initializers: this.initializers,
      inputs,
      outputs: outputs.map(({ name: output, type, shape }) => ({ name: output, type, shape })),
    });
  }
}

function windowAttributes({ kernel, strides, dilations, pads, ceil = false }: Window): Attributes {
  return {
    kernel_shape: intsAttribute(kernel),
    strides: intsAttribute(strides),
    dilations: intsAttribute(dilations),
    pads: intsAttribute(pads),
    ...(ceil && { ceil_mode: int(1) }),
  };
}

/** Leaves out every node and initialiser that no output needs. */
export function pruned(graph: Graph): Graph {
  const needed = new Set(graph.outputs.map(({ name }) => name));
  const nodes: Node[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((output) => needed.has(output))) continue;
    nodes.push(node);
    for (const input of readBy(node)) needed.add(input);
  }
  nodes.reverse();
  return { ...graph, nodes, initializers: new Map([...graph.initializers].filter(([name]) => needed.has(name))) };
}

/** What a node reads: its inputs, and what its sub-graphs take from the graph around them. */
function readBy({ inputs, attributes }: Node): readonly string[] {
  const bodies = Object.values(attributes).flatMap((attribute) => (attribute.kind === 'graph' ? attribute.value.nodes.flatMap(readBy) : []));
  const results = Object.values(attributes).flatMap((attribute) =>
    attribute.kind === 'graph' ? attribute.value.outputs.map(({ name }) => name) : [],
  );
  return [...inputs, ...bodies, ...results];
}

export const elementsOf = ({ shape }: { readonly shape: readonly number[] }): number => sizeOf(shape);
