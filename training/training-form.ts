import { SmltError } from '../contracts/errors';
import { batchNormsOf, FIRST, inferenceBatchNorm, trainingBatchNorm, ZERO } from './batch-norm';
import type { BatchNorm, RunningStatistic } from './batch-norm';
import { pruned } from './graph-writer';
import type { Role } from './import/parameters';
import type { Graph, Node, ValueInfo } from './onnx/graph';

/** Names of what a training graph takes and gives besides the parameters, which keep their own. */
export const graphNames = {
  targets: 'smlt.targets',
  loss: 'smlt.loss',
  written: 'smlt.written',
  gradient: (parameter: string) => `smlt.gradient/${parameter}`,
  statistic: (buffer: string) => `smlt.statistic/${buffer}`,
  noise: (index: number) => `smlt.noise.${index}`,
} as const;

export interface TrainingForm extends Graph {
  /** Running statistics in the order of their nodes: mean, then variance of each. */
  readonly buffers: readonly RunningStatistic[];
  readonly batchNorms: readonly BatchNorm[];
  readonly dropouts: readonly { readonly node: string; readonly input: string; readonly rate: number }[];
}

/**
 * As an exporter may leave it, to what trains: BatchNormalization over the micro-batch with its statistics as outputs,
 * Dropout as a product with a mask that the host makes (ONNX Runtime's generator is no function of the step).
 * @param roles  of initialisers: a BatchNormalization whose statistics are frozen predicts with them
 */
export function trainingForm(graph: Graph, roles: ReadonlyMap<string, Role>): TrainingForm {
  const { uses, buffers } = batchNormsOf(graph, (statistic) => roles.get(statistic) === 'statistic');
  const trains = (name: string) => roles.get(name) === 'parameter';
  const dropouts: TrainingForm['dropouts'][number][] = [];
  const initializers = new Map(graph.initializers)
    .set(ZERO, { type: 'float32', shape: [], data: Float32Array.of(0) })
    .set(FIRST, { type: 'int64', shape: [], data: BigInt64Array.of(0n) });
  const nodes = graph.nodes.flatMap((node): Node | Node[] => {
    if (node.domain !== '') return node;
    if (node.op === 'BatchNormalization') {
      const use = uses.find(({ node: name }) => name === node.name);
      return use ? trainingBatchNorm(node, use.statistics, use.again ? () => false : trains) : inferenceBatchNorm(node);
    }
    if (node.op === 'Dropout') {
      const rate = dropoutRate(node, graph);
      if (rate === 0) return { ...node, op: 'Identity', inputs: node.inputs.slice(0, 1), outputs: node.outputs.slice(0, 1), attributes: {} };
      const input = graphNames.noise(dropouts.length);
      dropouts.push({ node: node.name, input, rate });
      return { ...node, op: 'Mul', inputs: [node.inputs[0] ?? '', input], outputs: node.outputs.slice(0, 1), attributes: {} };
    }
    return node;
  });
  return { ...graph, nodes, initializers, buffers, batchNorms: uses, dropouts };
}

function dropoutRate(node: Node, graph: Graph): number {
  const ratio = node.inputs[1];
  if (!ratio) return 0.5;
  const constant = graph.nodes.find(({ op, outputs }) => op === 'Constant' && outputs[0] === ratio)?.attributes.value;
  const tensor = graph.initializers.get(ratio) ?? (constant?.kind === 'tensor' ? constant.value : undefined);
  if (!tensor)
    throw new SmltError(
      'UnsupportedOperator',
      `operator Dropout of node '${node.name}': its ratio is computed; nearest supported form: a constant ratio`,
    );
  // The number that a person wrote, not its nearest float32: host and graph must agree on one.
  return Number(Number(tensor.data[0]).toPrecision(7));
}

/** The graph that predicts: running statistics, no dropout; what varies are inputs without values. */
export function inferenceForm(graph: Graph, variable: ReadonlySet<string>, outputs = 1): Graph {
  const nodes = graph.nodes.map((node): Node => {
    if (node.domain !== '') return node;
    if (node.op === 'BatchNormalization') return inferenceBatchNorm(node);
    if (node.op === 'Dropout') return { ...node, op: 'Identity', inputs: node.inputs.slice(0, 1), outputs: node.outputs.slice(0, 1), attributes: {} };
    return node;
  });
  const weights = [...graph.initializers].filter(([name]) => variable.has(name));
  return pruned({
    ...graph,
    nodes,
    initializers: new Map([...graph.initializers].filter(([name]) => !variable.has(name))),
    inputs: [...graph.inputs, ...weights.map(([name, { type, shape }]): ValueInfo => ({ name, type, shape }))],
    outputs: graph.outputs.slice(0, outputs),
  });
}
