import { SmltError } from '../../contracts/errors';
import { decodeModel } from '../onnx/codec';
import type { Graph, Node } from '../onnx/graph';
import { withOwnStatistics } from './own-statistics';
import { withPadding } from './padding';
import { inSinglePrecision } from './single-precision';

const OLDEST_OPSET = 13;
/** The newest that onnxruntime-node 1.30 runs. */
const NEWEST_OPSET = 26;

/**
 * A forward graph as the rest of training/ takes it: functions inlined, floats in float32, each node with a name of its own.
 * @throws {SmltError} `InvalidModel`, saying what is wrong with the file and how to export it
 */
export function readForward(bytes: Uint8Array): Graph {
  const graph = inSinglePrecision(decodeModel(bytes));
  if (graph.opset < OLDEST_OPSET || graph.opset > NEWEST_OPSET)
    throw new SmltError(
      'InvalidModel',
      `the ONNX model uses operator set ${graph.opset}; expected ${OLDEST_OPSET} to ${NEWEST_OPSET}; export it with another one (torch.onnx.export(..., opset_version=18))`,
    );
  if (graph.outputs.length === 0) throw new SmltError('InvalidModel', 'the ONNX model has no output; expected at least one');
  return withPadding(withOwnStatistics({ ...graph, nodes: named(graph.nodes) }));
}

/** Nodes are spoken of, and found again, by name. */
function named(nodes: readonly Node[]): Node[] {
  const seen = new Map<string, number>();
  return nodes.map((node) => {
    const before = seen.get(node.name) ?? 0;
    seen.set(node.name, before + 1);
    return before === 0 ? node : { ...node, name: `${node.name}#${before + 1}` };
  });
}
