import { SmltError } from '../contracts/errors';
import { pruned } from './graph-writer';
import type { Graph, Node, ValueInfo } from './onnx/graph';
import { float, int } from './onnx/graph';

/** Names of what a training graph takes and gives besides the parameters, which keep their own. */
export const graphNames = {
  targets: 'smlt.targets',
  loss: 'smlt.loss',
  gradient: (parameter: string) => `smlt.gradient/${parameter}`,
  statistic: (buffer: string) => `smlt.statistic/${buffer}`,
  noise: (index: number) => `smlt.noise.${index}`,
} as const;

/** A scalar 0 that every training form holds. */
export const ZERO = 'smlt.zero';

export interface TrainingForm extends Graph {
  /** Running statistics in the order of their nodes: mean, then variance of each. */
  readonly buffers: readonly { readonly name: string; readonly momentum: number }[];
  readonly batchNorms: readonly {
    readonly node: string;
    readonly statistics: readonly [string, string];
    readonly buffers: readonly [string, string];
  }[];
  readonly dropouts: readonly { readonly node: string; readonly input: string; readonly rate: number }[];
}

/**
 * As an exporter may leave it, to what trains: BatchNormalization over the micro-batch with its statistics as outputs,
 * Dropout as a product with a mask that the host makes (ONNX Runtime's generator is no function of the step).
 * @param averaged  which running statistics follow the data; a BatchNormalization of which neither does predicts with them
 */
export function trainingForm(graph: Graph, averaged: (statistic: string) => boolean = () => true): TrainingForm {
  const buffers: { name: string; momentum: number }[] = [];
  const batchNorms: TrainingForm['batchNorms'][number][] = [];
  const dropouts: TrainingForm['dropouts'][number][] = [];
  const initializers = new Map(graph.initializers).set(ZERO, { type: 'float32', shape: [], data: Float32Array.of(0) });
  const nodes = graph.nodes.flatMap((node): Node | Node[] => {
    if (node.domain !== '') return node;
    if (node.op === 'BatchNormalization') {
      const [mean, variance] = [node.inputs[3] ?? '', node.inputs[4] ?? ''];
      const shape = graph.initializers.get(mean)?.shape;
      if (!shape || !graph.initializers.has(variance) || buffers.some(({ name }) => name === mean))
        throw new SmltError(
          'UnsupportedOperator',
          `operator BatchNormalization of node '${node.name}': its running statistics are computed or shared; nearest supported form: one initialiser each`,
        );
      if (!averaged(mean) && !averaged(variance)) return inferenceBatchNorm(node);
      const attribute = node.attributes.momentum;
      const kept = attribute?.kind === 'float' ? attribute.value : 0.9;
      const momentum = Number((1 - kept).toPrecision(6));
      buffers.push({ name: mean, momentum }, { name: variance, momentum });
      const statistics = [`smlt.mean/${node.name}`, `smlt.variance/${node.name}`] as const;
      batchNorms.push({ node: node.name, statistics, buffers: [mean, variance] });
      return trainingBatchNorm(node, statistics);
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
  return { ...graph, nodes, initializers, buffers, batchNorms, dropouts };
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
export function inferenceForm(graph: Graph, variable: ReadonlySet<string>): Graph {
  const nodes = graph.nodes.map((node): Node => {
    if (node.domain !== '') return node;
    const outputs = node.outputs.slice(0, 1);
    if (node.op === 'BatchNormalization') {
      return inferenceBatchNorm(node);
    }
    if (node.op === 'Dropout') return { ...node, op: 'Identity', inputs: node.inputs.slice(0, 1), outputs, attributes: {} };
    return node;
  });
  const weights = [...graph.initializers].filter(([name]) => variable.has(name));
  return pruned({
    ...graph,
    nodes,
    initializers: new Map([...graph.initializers].filter(([name]) => !variable.has(name))),
    inputs: [...graph.inputs, ...weights.map(([name, { type, shape }]): ValueInfo => ({ name, type, shape }))],
    outputs: graph.outputs.slice(0, 1),
  });
}

/** Left out rather than 0: operator sets below 14 do not know the attribute. */
function inferenceBatchNorm(node: Node): Node {
  const { training_mode: _, ...attributes } = node.attributes;
  return { ...node, outputs: node.outputs.slice(0, 1), attributes };
}

/**
 * BatchNormalization over the micro-batch whose outputs 1 and 2 are the batch's mean and biased variance: momentum 0.
 * ONNX Runtime writes these two over the inputs 3 and 4, initialisers included, so that a graph would carry state from
 * run to run, and mix the two up when they begin alike. So each gets zeros of its own, computed in every run.
 */
export function trainingBatchNorm(node: Node, [mean, variance]: readonly [string, string]): Node[] {
  const [X = '', scale = '', bias = ''] = node.inputs;
  const zeros = (from: string, name: string): Node => ({ op: 'Mul', domain: '', name, inputs: [from, ZERO], outputs: [name], attributes: {} });
  const [first, second] = [zeros(scale, `smlt.scratch/${mean}`), zeros(bias, `smlt.scratch/${variance}`)];
  const attributes = { epsilon: node.attributes.epsilon ?? float(1e-5), momentum: float(0), training_mode: int(1) };
  const inputs = [X, scale, bias, ...first.outputs, ...second.outputs];
  return [first, second, { ...node, inputs, outputs: [node.outputs[0] ?? '', mean, variance], attributes }];
}
