import { SmltError } from '../contracts/errors';
import type { FixedGraph } from './fix-batch';
import type { Value } from './shapes';

const isFloat = ({ type }: Value): boolean => type === 'float32' || type === 'float64';

/**
 * Reverse-mode differentiation: appends to the graph the nodes that make the gradients of `candidates`.
 * @param output  the value whose gradient `dOutput` starts it
 * @returns gradients by name; a candidate that no gradient reaches is not in it
 * The order of additions is the order of nodes, so that the same graph gives the same bits.
 */
export function differentiate({ g, steps }: FixedGraph, candidates: Iterable<string>, output: Value, dOutput: Value): Map<string, Value> {
  const active = new Set(candidates);
  const wanted = new Set(active);
  for (const { at } of steps)
    if (at.inputs.some((input) => input && active.has(input.name))) for (const made of at.outputs) if (made) active.add(made.name);

  const gradients = new Map<string, Value>([[output.name, dOutput]]);
  const add = (name: string, gradient: Value) => {
    const before = gradients.get(name);
    gradients.set(name, before ? g.add(before, gradient) : gradient);
  };
  for (const { at, rule } of steps.toReversed()) {
    if (rule.gradients === 'zero') continue;
    // Outputs first asked for by a backward rule come after this node's own visit and carry no gradient.
    const dYs = at.outputs.map((made) => made && gradients.get(made.name));
    if (dYs.every((dY) => dY === undefined)) continue;
    const thunks = rule.gradients(at, dYs, g);
    at.inputs.forEach((input, i) => {
      const thunk = thunks[i];
      if (!input || !thunk || !active.has(input.name) || !isFloat(input)) return;
      const gradient = thunk();
      if (gradient.shape.join() !== input.shape.join())
        throw new SmltError(
          'InvalidModel',
          `gradient of '${input.name}': expected shape [${input.shape.join(', ')}], got [${gradient.shape.join(', ')}]`,
        );
      add(input.name, gradient);
    });
  }
  return new Map([...gradients].filter(([name]) => wanted.has(name)));
}
