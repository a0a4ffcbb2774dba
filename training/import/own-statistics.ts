import type { Graph, Node } from '../onnx/graph';

const isNorm = ({ op, domain }: Node): boolean => op === 'BatchNormalization' && domain === '';

/**
 * Names the running statistics of every BatchNormalization by initialisers, where an exporter has put an Identity between:
 * torch.export does for a layer that is used again, which is one layer; others do where they have merged tensors that are
 * equal at first, whose layers get their own back, under the name that the Identity kept.
 */
export function withOwnStatistics(graph: Graph): Graph {
  const copies = new Map(graph.nodes.flatMap(({ op, inputs, outputs }) => (op === 'Identity' ? [[outputs[0] ?? '', inputs[0] ?? '']] : [])));
  const sourceOf = (name: string): string => {
    let source = name;
    for (let next = copies.get(source); next !== undefined; next = copies.get(source)) source = next;
    return graph.initializers.has(source) ? source : name;
  };
  const layerOf = ({ inputs }: Node) => `${inputs[1]} ${inputs[2]} ${sourceOf(inputs[3] ?? '')}`;
  const first = new Map<string, Node>();
  for (const node of graph.nodes) if (isNorm(node) && !first.has(layerOf(node))) first.set(layerOf(node), node);

  const initializers = new Map(graph.initializers);
  const nodes = graph.nodes.map((node): Node => {
    if (!isNorm(node)) return node;
    const [mean = '', variance = ''] = first.get(layerOf(node))?.inputs.slice(3, 5) ?? [];
    for (const name of [mean, variance]) {
      const tensor = graph.initializers.get(sourceOf(name));
      if (tensor) initializers.set(name, tensor);
    }
    return { ...node, inputs: [...node.inputs.slice(0, 3), mean, variance] };
  });
  return { ...graph, initializers, nodes: nodes.filter(({ op, outputs }) => !(op === 'Identity' && initializers.has(outputs[0] ?? ''))) };
}
