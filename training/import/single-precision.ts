import type { Attribute, Graph, Node, Tensor, ValueInfo } from '../onnx/graph';
import { int, numbersOf } from '../onnx/graph';

const FLOAT32 = 1;
/** float16, float64, bfloat16 by their ONNX numbers. */
const otherFloats = new Set([10, 11, 16]);
/** Attributes that hold an element type. */
const typeAttributes: Readonly<Record<string, string>> = {
  Cast: 'to',
  EyeLike: 'dtype',
  RandomNormal: 'dtype',
  RandomNormalLike: 'dtype',
  RandomUniform: 'dtype',
  RandomUniformLike: 'dtype',
  Bernoulli: 'dtype',
  LayerNormalization: 'stash_type',
  RMSNormalization: 'stash_type',
  Attention: 'softmax_precision',
};

/**
 * The graph with every float in float32: halves are trained in single precision, where their kernels exist and small
 * updates are not rounded away, and so are doubles. Casts between floats become copies.
 */
export function inSinglePrecision(graph: Graph): Graph {
  return {
    ...graph,
    nodes: graph.nodes.map(singleNode),
    initializers: new Map([...graph.initializers].map(([name, tensor]) => [name, single(tensor)])),
    inputs: graph.inputs.map(singleInfo),
    outputs: graph.outputs.map(singleInfo),
  };
}

const singleInfo = (value: ValueInfo): ValueInfo => (value.type === 'float64' ? { ...value, type: 'float32' } : value);

const single = (tensor: Tensor): Tensor =>
  tensor.type === 'float64' ? { ...tensor, type: 'float32', data: Float32Array.from(numbersOf(tensor)), storedAs: 'float64' } : tensor;

function singleNode(node: Node): Node {
  const typed = typeAttributes[node.op];
  const attributes = Object.entries(node.attributes).map(([name, attribute]): [string, Attribute] => {
    if (attribute.kind === 'tensor') return [name, { kind: 'tensor', value: single(attribute.value) }];
    if (attribute.kind === 'graph') return [name, { kind: 'graph', value: inSinglePrecision(attribute.value) }];
    if (name === typed && attribute.kind === 'int' && otherFloats.has(attribute.value)) return [name, int(FLOAT32)];
    return [name, attribute];
  });
  return { ...node, attributes: Object.fromEntries(attributes) };
}
