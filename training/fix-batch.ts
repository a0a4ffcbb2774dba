import { SmltError } from '../contracts/errors';
import { FOLD_LIMIT, folds } from './fold';
import { GraphWriter, OPSET } from './graph-writer';
import type { Graph, Node, Tensor } from './onnx/graph';
import { int, sizeOf } from './onnx/graph';
import type { TypeAndShape, Value } from './shapes';
import { show } from './shapes';
import { rules } from './vjp/index';
import type { Rule } from './vjp/rule';
import { At } from './vjp/rule';

/** A forward graph for one batch size, every value typed, with the writer that goes on with it. */
export interface FixedGraph {
  readonly g: GraphWriter;
  /** The nodes that are left to run, in order. */
  readonly steps: readonly { readonly at: At; readonly rule: Rule }[];
  readonly valueOf: (name: string) => Value;
}

/**
 * Gives every value of a graph its shape, and folds what does not depend on samples or parameters.
 * @param inputs     the graph's inputs with the batch filled in
 * @param trainable  initialisers that must stay variable, as inputs of the same name
 */
export function fixBatch(graph: Graph, inputs: readonly Value[], trainable: ReadonlySet<string>): FixedGraph {
  const g = new GraphWriter(Math.max(graph.opset, OPSET));
  const valueOf = (name: string): Value => {
    const value = g.values.get(name);
    if (!value) throw new SmltError('InvalidModel', `nothing makes the value '${name}' before it is used; its node may be missing or out of order`);
    return value;
  };
  for (const [name, tensor] of graph.initializers)
    g.define({ name, shape: tensor.shape, type: tensor.type, constant: trainable.has(name) ? undefined : tensor });
  for (const input of inputs) g.define(input);

  const steps: { at: At; rule: Rule }[] = [];
  for (const written of graph.nodes) {
    const node = upgraded(written, g);
    const rule = node.domain === '' ? rules[node.op] : undefined;
    if (!rule) throw unknownOperator(node.domain ? `${node.domain}.${node.op}` : node.op, node.name);
    const at = new At(
      node,
      node.inputs.map((name) => (name === '' ? undefined : valueOf(name))),
      [],
      extend(g),
    );
    const types = inferred(rule, at);
    const folded = fold(at, types);
    if (folded) {
      g.define({ name: node.outputs[0] as string, shape: folded.shape, type: folded.type, constant: folded });
      continue;
    }
    node.outputs.forEach((name, i) => {
      if (name === '') return;
      const type = types[i];
      if (!type) throw new SmltError('UnsupportedOperator', `operator ${node.op} of node '${node.name}': its output ${i + 1} is not supported`);
      at.outputs[i] = g.define({ name, ...onlyType(type) });
    });
    g.nodes.push(node);
    steps.push({ at, rule });
  }
  return { g, steps, valueOf };
}

const onlyType = ({ shape, type }: TypeAndShape): TypeAndShape => ({ shape, type });

function unknownOperator(op: string, node: string): SmltError {
  return new SmltError(
    'UnsupportedOperator',
    `operator ${op} of node '${node}' has no derivative rule; nearest supported form: the same computation in ${nearest(op)}`,
  );
}

/** The operators whose names share the most letters in a row, as a hint; all of them are too many to read. */
function nearest(op: string): string {
  const bare = op.replace(/^.*\./, '').toLowerCase();
  const score = (name: string) => {
    let length = 0;
    while (length < name.length && bare.includes(name.slice(0, length + 1).toLowerCase())) length++;
    return length;
  };
  const close = Object.keys(rules)
    .filter((name) => score(name) >= 4)
    .sort((a, b) => score(b) - score(a) || (a < b ? -1 : 1))
    .slice(0, 3);
  return [...close, 'MatMul', 'Mul', 'Add', 'Reshape'].slice(0, 5).join(', ');
}

function inferred(rule: Rule, at: At): readonly TypeAndShape[] {
  try {
    return rule.infer(at);
  } catch (error) {
    if (!(error instanceof SmltError) || error.code !== 'InvalidModel' || error.message.includes(`'${at.node.name}'`)) throw error;
    const operands = at.inputs.map((input) => (input ? show(input.shape) : 'nothing')).join(', ');
    throw new SmltError('InvalidModel', `operator ${at.node.op} of node '${at.node.name}' over ${operands}: ${error.message}`, { cause: error });
  }
}

function fold(at: At, types: readonly TypeAndShape[]): Tensor | undefined {
  const { op } = at.node;
  const type = types[0];
  if (!type) return undefined;
  // A shape is known whatever the value is.
  const shape = at.inputs[0]?.shape ?? [];
  if (op === 'Shape') {
    const dims = shape.slice(at.int('start', 0), at.has('end') ? at.int('end', 0) : undefined);
    return { type: 'int64', shape: [dims.length], data: BigInt64Array.from(dims, BigInt) };
  }
  if (op === 'Size') return { type: 'int64', shape: [], data: BigInt64Array.of(BigInt(sizeOf(shape))) };
  const apply = folds[op];
  const known = at.inputs.every((input) => input === undefined || input.constant !== undefined);
  if (!apply || !known || sizeOf(type.shape) > FOLD_LIMIT) return undefined;
  return apply(
    at.inputs.map((input) => input?.constant),
    at,
    type,
  );
}

/** Brings a node of an older operator set to the one that smlt writes: sizes and axes became inputs in opset 13 and 18. */
function upgraded(node: Node, g: GraphWriter): Node {
  const { axes, split, ...attributes } = node.attributes;
  const asInput = (values: readonly number[]): Node => ({ ...node, inputs: [node.inputs[0] ?? '', g.ints(values).name], attributes });
  const takesAxes = node.op.startsWith('Reduce') || node.op === 'Squeeze' || node.op === 'Unsqueeze';
  if (takesAxes && axes?.kind === 'ints') return asInput(axes.value);
  if (node.op !== 'Split' || node.inputs[1]) return node;
  return split?.kind === 'ints' ? asInput(split.value) : { ...node, attributes: { ...attributes, num_outputs: int(node.outputs.length) } };
}

function extend(g: GraphWriter) {
  return (at: At, index: number): Value => {
    const rule = rules[at.node.op] as Rule;
    const type = rule.infer(at)[index];
    if (!type) throw new SmltError('UnsupportedOperator', `operator ${at.node.op} of node '${at.node.name}' has no output ${index + 1}`);
    const value = g.define({ name: g.freshName(at.node.op), ...onlyType(type) });
    const outputs = Array.from({ length: Math.max(index + 1, at.node.outputs.length) }, (_, i) => at.node.outputs[i] ?? '').with(index, value.name);
    const node = { ...at.node, outputs };
    g.nodes[g.nodes.indexOf(at.node)] = node;
    at.node = node;
    at.outputs[index] = value;
    return value;
  };
}
