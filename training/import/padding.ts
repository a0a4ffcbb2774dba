import type { Graph, Tensor } from '../onnx/graph';
import { torchSignature } from './torch-signature';

/**
 * Marks embeddings whose one row of zeros stays as it is. ONNX has no `padding_idx`: torch.export keeps it beside the graph
 * (the codec reads it there); of other files it is known by its row, which PyTorch begins with zeros among random numbers.
 */
export function withPadding(graph: Graph): Graph {
  if (torchSignature(graph)) return graph;
  return {
    ...graph,
    nodes: graph.nodes.map((node) => {
      const table = node.op === 'Gather' && axisIsFirst(node.attributes.axis) ? graph.initializers.get(node.inputs[0] ?? '') : undefined;
      const paddingIndex = table && onlyZeroRow(table);
      return paddingIndex === undefined ? node : { ...node, paddingIndex };
    }),
  };
}

const axisIsFirst = (axis: Graph['nodes'][number]['attributes'][string] | undefined): boolean => !axis || (axis.kind === 'int' && axis.value === 0);

/** Of a matrix of floats: its row of zeros, where it has exactly one. */
function onlyZeroRow({ type, shape: [rows = 0, width = 0, ...more], data }: Tensor): number | undefined {
  if (type !== 'float32' || more.length > 0 || rows < 3 || width < 2) return undefined;
  const zero = (row: number) => (data as Float32Array).subarray(row * width, (row + 1) * width).every((value) => value === 0);
  const found = Array.from({ length: rows }, (_, row) => row).filter(zero);
  return found.length === 1 ? found[0] : undefined;
}
