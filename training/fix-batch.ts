import { SmltError } from '../contracts/errors';
import { FOLD_LIMIT, folds } from './fold/index';
import { GraphWriter, OPSET } from './graph-writer';
import { controls } from './lowering/control';
import type { Lowering } from './lowering/lowering';
import { lowerings } from './lowering/index';
import type { Graph, Node, Tensor } from './onnx/graph';
import { sizeOf } from './onnx/graph';
import type { TypeAndShape, Value } from './shapes';
import { show } from './shapes';
import { upgraded } from './upgrade';
import { rules } from './vjp/index';
import type { Rule } from './vjp/rule';
import { At, nodeOf } from './vjp/rule';

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
 * @param blocked    for hosts with ONNX Runtime's blocked layout, see channel-blocks.ts
 */
export function fixBatch(graph: Graph, inputs: readonly Value[], trainable: ReadonlySet<string>, blocked = false): FixedGraph {
  const g = new GraphWriter(Math.max(graph.opset, OPSET), blocked);
  const valueOf = (name: string): Value => {
    const value = g.values.get(name);
    if (!value) throw new SmltError('InvalidModel', `nothing makes the value '${name}' before it is used; its node may be missing or out of order`);
    return value;
  };
  for (const [name, tensor] of graph.initializers)
    g.define({ name, shape: tensor.shape, type: tensor.type, constant: trainable.has(name) ? undefined : tensor });
  for (const input of inputs) g.define(input);

  const steps: { at: At; rule: Rule }[] = [];
  const write = (written: Node): void => {
    const node = upgraded(written, g);
    const at = new At(
      node,
      node.inputs.map((name) => (name === '' ? undefined : valueOf(name))),
      [],
      extend(g),
    );
    const control = node.domain === '' ? controls[node.op] : undefined;
    if (control) return control(at, g, { read: write, valueOf });
    const lowering = node.domain === '' ? lowerings[node.op] : undefined;
    const others = lowering && lowered(lowering, at, g);
    if (others) return others.forEach(write);
    const rule = node.domain === '' ? rules[node.op] : undefined;
    if (!rule) throw unknownOperator(node);
    const types = explained(at, () => rule.infer(at));
    const folded = fold(at, types);
    if (folded) {
      g.define({ name: node.outputs[0] as string, shape: folded.shape, type: folded.type, constant: folded });
      return;
    }
    node.outputs.forEach((name, i) => {
      if (name === '') return;
      const type = types[i];
      if (!type) throw at.refuse(`its output ${i + 1} is used`, `outputs 1 to ${types.length}`);
      at.outputs[i] = g.define({ name, ...onlyType(type) });
    });
    const faster = rule.faster?.(at, g);
    g.nodes.push(faster ? identity(faster, node.outputs[0] as string) : node);
    steps.push({ at, rule });
  };
  graph.nodes.forEach(write);
  return { g, steps, valueOf };
}

/** The nodes that a lowering writes, under the name of the node that they stand for. */
function lowered(lowering: Lowering, at: At, g: GraphWriter): Node[] | undefined {
  const start = g.nodes.length;
  const results = explained(at, () => lowering(at, g));
  const written = g.nodes.splice(start);
  if (!results) return undefined;
  const named = at.node.outputs.flatMap((name, i): Node[] => {
    if (name === '') return [];
    const result = results[i];
    if (!result) throw at.refuse(`its output ${i + 1} is used`, 'its other outputs');
    if (result.sequence) {
      g.define({ ...result, name });
      return [];
    }
    return [identity(result, name)];
  });
  const { name, source } = at.node;
  return [...written, ...named].map((node) => ({ ...node, name: `${name}/${node.name}`, ...(source !== undefined && { source }) }));
}

const identity = ({ name: input }: Value, name: string): Node => ({
  op: 'Identity',
  domain: '',
  name,
  inputs: [input],
  outputs: [name],
  attributes: {},
});
const onlyType = ({ shape, type }: TypeAndShape): TypeAndShape => ({ shape, type });

function unknownOperator(node: Node): SmltError {
  const op = node.domain ? `${node.domain}.${node.op}` : node.op;
  return new SmltError(
    'UnsupportedOperator',
    `operator ${op} of ${nodeOf(node)} has no derivative rule; nearest supported form: the same computation in ${nearest(node.op)}. ` +
      `Write that part of the model with these, or train the model in its own framework through a Python function`,
  );
}

/** The operators whose names share the most letters in a row, as a hint; all of them are too many to read. */
function nearest(op: string): string {
  const bare = op.toLowerCase();
  const score = (name: string) => {
    let length = 0;
    while (length < name.length && bare.includes(name.slice(0, length + 1).toLowerCase())) length++;
    return length;
  };
  const close = [...Object.keys(rules), ...Object.keys(lowerings)]
    .filter((name) => score(name) >= 4)
    .sort((a, b) => score(b) - score(a) || (a < b ? -1 : 1))
    .slice(0, 3);
  return [...close, 'MatMul', 'Mul', 'Add', 'Reshape'].slice(0, 5).join(', ');
}

/** Names the node and its operands in an error about shapes. */
function explained<T>(at: At, compute: () => T): T {
  try {
    return compute();
  } catch (error) {
    if (!(error instanceof SmltError) || error.code !== 'InvalidModel' || error.message.includes(`'${at.node.name}'`)) throw error;
    const operands = at.inputs.map((input) => (input ? show(input.shape) : 'nothing')).join(', ');
    throw new SmltError('InvalidModel', `operator ${at.node.op} of ${nodeOf(at.node)} over ${operands}: ${error.message}`, { cause: error });
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
