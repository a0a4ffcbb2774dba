import type { GraphWriter } from '../graph-writer';
import type { Attribute, Graph, Node } from '../onnx/graph';
import { numbersOf } from '../onnx/graph';
import type { Value } from '../shapes';
import { axisOf } from '../shapes';
import type { At } from '../vjp/rule';
import { inputsOf } from '../vjp/rule';

/*
 * Control flow that is known once the batch is fixed: a branch is taken, a loop is unrolled. Source: ONNX If-21, Loop-21,
 * Scan-21. A body's values get the node's name and the iteration as prefix; a name that it does not make is its
 * surroundings'.
 */

/** Reads nodes into the graph one at a time, so that what a body decides is known before the next iteration. */
export interface Reader {
  read(node: Node): void;
  valueOf(name: string): Value;
}
export type Control = (at: At, g: GraphWriter, reader: Reader) => void;

/** An unrolled loop longer than this would take longer to open than to run. */
const MOST_ITERATIONS = 1_024;

function bodyOf(at: At, attribute: string): Graph {
  const body = at.node.attributes[attribute];
  if (body?.kind !== 'graph') throw at.refuse(`no sub-graph '${attribute}'`, `a sub-graph '${attribute}'`);
  return body.value;
}

const identity = (from: string, to: string): Node => ({ op: 'Identity', domain: '', name: to, inputs: [from], outputs: [to], attributes: {} });

/** Reads a body's nodes under names of their own. @returns the names of its outputs outside */
function inline(body: Graph, inputs: readonly string[], prefix: string, g: GraphWriter, reader: Reader): string[] {
  const names = new Map(body.inputs.map(({ name }, i) => [name, inputs[i] ?? '']));
  for (const name of [...body.initializers.keys(), ...body.nodes.flatMap(({ outputs }) => outputs)])
    if (name !== '') names.set(name, `${prefix}/${name}`);
  for (const [name, tensor] of body.initializers) g.define({ name: `${prefix}/${name}`, shape: tensor.shape, type: tensor.type, constant: tensor });
  const renamed = (name: string) => names.get(name) ?? name;
  for (const node of body.nodes) reader.read({ ...renamedNode(node, renamed), name: `${prefix}/${node.name}` });
  return body.outputs.map(({ name }) => renamed(name));
}

function renamedNode(node: Node, renamed: (name: string) => string): Node {
  const attributes = Object.entries(node.attributes).map(([name, attribute]): [string, Attribute] => [
    name,
    attribute.kind === 'graph' ? { kind: 'graph', value: renamedBody(attribute.value, renamed) } : attribute,
  ]);
  return { ...node, inputs: node.inputs.map(renamed), outputs: node.outputs.map(renamed), attributes: Object.fromEntries(attributes) };
}

/** A body inside a body: only what it takes from around it is renamed. */
function renamedBody(body: Graph, renamed: (name: string) => string): Graph {
  const own = new Set([...body.inputs.map(({ name }) => name), ...body.initializers.keys(), ...body.nodes.flatMap(({ outputs }) => outputs)]);
  const outer = (name: string) => (own.has(name) ? name : renamed(name));
  return {
    ...body,
    nodes: body.nodes.map((node) => renamedNode(node, outer)),
    outputs: body.outputs.map((output) => ({ ...output, name: outer(output.name) })),
  };
}

/** Reads what a rule of this file writes itself. */
function emitted(g: GraphWriter, reader: Reader, make: () => Value): string {
  const start = g.nodes.length;
  const { name } = make();
  g.nodes.splice(start).forEach(reader.read);
  return name;
}

function collect(at: At, g: GraphWriter, reader: Reader, parts: readonly string[], axis: number, to: string): void {
  if (to === '') return;
  if (parts.length === 0) throw at.refuse('it runs not once and its collected output is used', 'a loop that runs at least once');
  const stacked = emitted(g, reader, () => {
    const values = parts.map(reader.valueOf);
    const along = axisOf(axis, (values[0]?.shape.length ?? 0) + 1);
    return g.concat(
      values.map((value) => g.reshape(value, value.shape.toSpliced(along, 0, 1))),
      along,
    );
  });
  reader.read(identity(stacked, to));
}

const flag = (value: Value): boolean | undefined => (value.constant ? numbersOf(value.constant)[0] !== 0 : undefined);

export const controls: Readonly<Record<string, Control>> = {
  If: (at, g, reader) => {
    const { cond } = inputsOf(at, ['cond']);
    const taken = flag(cond);
    if (taken === undefined) throw at.refuse('its condition is computed from the samples or parameters', 'Where (torch.where) over both results');
    const results = inline(bodyOf(at, taken ? 'then_branch' : 'else_branch'), [], at.node.name, g, reader);
    at.node.outputs.forEach((name, i) => name !== '' && reader.read(identity(results[i] ?? '', name)));
  },

  Loop: (at, g, reader) => {
    const body = bodyOf(at, 'body');
    const [most, cond, ...initial] = at.inputs;
    const trips = most ? (at.known(most, 'trip count')[0] ?? 0) : Infinity;
    const carriedCount = initial.length;
    let carried = at.node.inputs.slice(2);
    const collected: string[][] = body.outputs.slice(1 + carriedCount).map(() => []);
    let goes = cond ? flag(cond) : true;
    for (let i = 0; goes !== false && i < trips; i++) {
      if (goes === undefined) throw at.refuse('its condition is computed from the samples or parameters', 'a number of iterations that is known');
      if (i === MOST_ITERATIONS) throw at.refuse(`it runs more than ${MOST_ITERATIONS} times`, 'fewer iterations, or one operator over all');
      const again = g.scalar(1, 'bool');
      const results = inline(body, [g.scalar(i, 'int64').name, again.name, ...carried], `${at.node.name}/${i}`, g, reader);
      goes = flag(reader.valueOf(results[0] ?? ''));
      carried = results.slice(1, 1 + carriedCount);
      collected.forEach((parts, k) => parts.push(results[1 + carriedCount + k] ?? ''));
    }
    at.node.outputs.forEach((name, i) => {
      if (name === '') return;
      if (i < carriedCount) reader.read(identity(carried[i] ?? '', name));
      else collect(at, g, reader, collected[i - carriedCount] ?? [], 0, name);
    });
  },

  Scan: (at, g, reader) => {
    const body = bodyOf(at, 'body');
    const scanned = at.int('num_scan_inputs', 0);
    const stateCount = at.inputs.length - scanned;
    const results = body.outputs.length - stateCount;
    const axes = Array.from({ length: scanned }, (_, k) =>
      axisOf(at.ints('scan_input_axes')?.[k] ?? 0, at.inputs[stateCount + k]?.shape.length ?? 1),
    );
    const steps = at.inputs[stateCount]?.shape[axes[0] ?? 0] ?? 0;
    if (steps > MOST_ITERATIONS) throw at.refuse(`it runs ${steps} times`, `at most ${MOST_ITERATIONS} iterations`);
    let states = at.node.inputs.slice(0, stateCount);
    const collected: string[][] = Array.from({ length: results }, () => []);
    for (let i = 0; i < steps; i++) {
      const slices = axes.map((axis, k) => {
        const from = at.inputs[stateCount + k] as Value;
        const step = at.ints('scan_input_directions')?.[k] === 1 ? steps - 1 - i : i;
        return emitted(g, reader, () => g.reshape(g.slice(from, axis, step, step + 1), from.shape.toSpliced(axis, 1)));
      });
      const made = inline(body, [...states, ...slices], `${at.node.name}/${i}`, g, reader);
      states = made.slice(0, stateCount);
      collected.forEach((parts, k) => parts.push(made[stateCount + k] ?? ''));
    }
    at.node.outputs.forEach((name, i) => {
      if (name === '') return;
      const k = i - stateCount;
      if (k < 0) return reader.read(identity(states[i] ?? '', name));
      const parts = at.ints('scan_output_directions')?.[k] === 1 ? (collected[k] ?? []).toReversed() : (collected[k] ?? []);
      collect(at, g, reader, parts, at.ints('scan_output_axes')?.[k] ?? 0, name);
    });
  },
};
