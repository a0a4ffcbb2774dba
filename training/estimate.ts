import type { Graph } from './onnx/graph';
import { sizeOf } from './onnx/graph';
import type { Value } from './shapes';

const bytesPerElement = { float32: 4, float64: 8, int32: 4, int64: 8, uint8: 1, int8: 1, bool: 1 } as const;

export const bytesOf = (value: Pick<Value, 'shape' | 'type'> | undefined): number => (value ? sizeOf(value.shape) * bytesPerElement[value.type] : 0);

/** The most bytes of tensors alive at once when each is freed after its last use, inputs and constants included. */
export function peakLiveBytes(graph: Graph, values: ReadonlyMap<string, Value>): number {
  const bytes = (name: string): number => bytesOf(values.get(name));
  const lastUse = new Map<string, number>();
  graph.nodes.forEach((node, i) => node.inputs.forEach((name) => lastUse.set(name, i)));
  // Results leave the graph and live on.
  for (const { name } of graph.outputs) lastUse.set(name, graph.nodes.length);
  const always = [...graph.inputs.map(({ name }) => name), ...graph.initializers.keys()];
  let live = always.reduce((sum, name) => sum + bytes(name), 0);
  const fixed = new Set(always);
  let peak = live;
  graph.nodes.forEach((node, i) => {
    for (const name of node.outputs) live += bytes(name);
    peak = Math.max(peak, live);
    for (const name of new Set([...node.inputs, ...node.outputs])) if (!fixed.has(name) && (lastUse.get(name) ?? i) === i) live -= bytes(name);
  });
  return peak;
}
