import { SmltError } from '../../contracts/errors';
import type { Graph, Tensor } from '../onnx/graph';
import type { SafeTensor } from '../safetensors';
import { floatsFrom } from '../safetensors';
import { show } from '../shapes';

/**
 * The graph with initial values from a file: an initialiser takes the value of its name, and a graph input of that name
 * becomes a parameter (as exporters of functions that take their parameters as arguments leave it).
 * @throws {SmltError} `InvalidModel` for a name that the graph does not have, or another shape
 */
export function withWeights(graph: Graph, weights: ReadonlyMap<string, SafeTensor> | undefined): Graph {
  if (!weights) return graph;
  const initializers = new Map(graph.initializers);
  for (const [name, tensor] of weights) {
    const input = graph.inputs.find((each) => each.name === name);
    const before = graph.initializers.get(name) ?? input;
    if (!before)
      throw new SmltError(
        'InvalidModel',
        `model.weights: the model has no initialiser or input '${name}'; see \`smlt model check\` for the names that it has`,
      );
    const { shape = tensor.shape, type } = before;
    const fits = shape.length === tensor.shape.length && shape.every((axis, i) => typeof axis === 'string' || axis === tensor.shape[i]);
    if (!fits || type !== 'float32')
      throw new SmltError('InvalidModel', `model.weights: '${name}' has shape ${show(tensor.shape)}; the model's is ${type} ${show(shape)}`);
    initializers.set(name, valueOf(tensor));
  }
  return { ...graph, initializers, inputs: graph.inputs.filter(({ name }) => !weights.has(name)) };
}

const valueOf = (tensor: SafeTensor): Tensor => ({ type: 'float32', shape: tensor.shape, data: floatsFrom(tensor) });
