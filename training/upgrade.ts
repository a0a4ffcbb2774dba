import type { GraphWriter } from './graph-writer';
import type { Node } from './onnx/graph';
import { int, text } from './onnx/graph';

/** GridSample's modes before operator set 20. */
const gridModes: Record<string, string> = { bilinear: 'linear', bicubic: 'cubic' };

/** Brings a node of an older operator set (13 on) to the one that smlt writes. Source: the change log of each operator. */
export function upgraded(node: Node, g: GraphWriter): Node {
  const { axes, split, ...attributes } = node.attributes;
  const asInput = (values: readonly number[]): Node => ({ ...node, inputs: [node.inputs[0] ?? '', g.ints(values).name], attributes });
  // Axes became an input in 13 (ReduceSum, Squeeze, Unsqueeze) and 18 (the other reductions).
  const takesAxes = node.op.startsWith('Reduce') || node.op === 'Squeeze' || node.op === 'Unsqueeze';
  if (takesAxes && axes?.kind === 'ints') return asInput(axes.value);
  if (node.op === 'GridSample') {
    const mode = node.attributes.mode;
    return mode?.kind === 'string' ? { ...node, attributes: { ...node.attributes, mode: text(gridModes[mode.value] ?? mode.value) } } : node;
  }
  if (node.op !== 'Split' || node.inputs[1]) return node;
  return split?.kind === 'ints' ? asInput(split.value) : { ...node, attributes: { ...attributes, num_outputs: int(node.outputs.length) } };
}
