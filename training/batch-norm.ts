import { SmltError } from '../contracts/errors';
import type { Graph, Node } from './onnx/graph';
import { float, int } from './onnx/graph';

/** Scalars that every training form holds: a 0, and the index of a first element. */
export const ZERO = 'smlt.zero';
export const FIRST = 'smlt.first';

/** One use of a BatchNormalization in training form. */
export interface BatchNorm {
  readonly node: string;
  /** Names of the micro-batch's mean and biased variance. */
  readonly statistics: readonly [string, string];
  readonly buffers: readonly [string, string];
  /** This use's part in what the running statistics take over: 1 for a layer that is used once. */
  readonly share: number;
  /** Another use of this layer's scale and bias came before. */
  readonly again: boolean;
}
export interface RunningStatistic {
  readonly name: string;
  /** The weight of the new value, of all the layer's uses together. */
  readonly momentum: number;
}

/**
 * All uses of BatchNormalization whose running statistics follow the data. A layer that is used k times mixes k values in,
 * one after the other: together (1-m)^k of the old value, and m(1-m)^(k-1-i) of the i-th use's.
 * @param averaged  which running statistics follow the data
 * @throws {SmltError} `UnsupportedOperator` where several layers share their statistics
 */
export function batchNormsOf(graph: Graph, averaged: (statistic: string) => boolean): { uses: BatchNorm[]; buffers: RunningStatistic[] } {
  const layers = new Map<string, Node[]>();
  for (const node of graph.nodes) {
    if (node.op !== 'BatchNormalization' || node.domain !== '' || !hasRunningStatistics(node, graph)) continue;
    const [, scale, bias, mean = '', variance = ''] = node.inputs;
    if (!averaged(mean) && !averaged(variance)) continue;
    const before = layers.get(mean);
    const [first] = before ?? [];
    if (first && (first.inputs[1] !== scale || first.inputs[2] !== bias || first.inputs[4] !== variance))
      throw new SmltError(
        'UnsupportedOperator',
        `operator BatchNormalization of nodes '${first.name}' and '${node.name}': two layers share the running statistics '${mean}'; nearest supported form: a running mean and variance for each layer, as exports without optimisation have them`,
      );
    layers.set(mean, [...(before ?? []), node]);
  }
  const uses = [...layers.values()].flatMap((nodes) => usesOf(nodes));
  const buffers = [...layers.values()].flatMap((nodes) => {
    const [node] = nodes as [Node];
    const momentum = 1 - (1 - momentumOf(node)) ** nodes.length;
    return node.inputs.slice(3, 5).map((name) => ({ name, momentum: Number(momentum.toPrecision(6)) }));
  });
  return { uses, buffers };
}

function usesOf(nodes: readonly Node[]): BatchNorm[] {
  const momentum = momentumOf(nodes[0] as Node);
  const total = 1 - (1 - momentum) ** nodes.length;
  return nodes.map(({ name, inputs }, i) => ({
    node: name,
    statistics: [`smlt.mean/${name}`, `smlt.variance/${name}`],
    buffers: [inputs[3] ?? '', inputs[4] ?? ''],
    share: nodes.length === 1 ? 1 : (momentum * (1 - momentum) ** (nodes.length - 1 - i)) / total,
    again: i > 0,
  }));
}

/** ONNX's attribute is the weight of the old value, as a float32: 0.9997 must give 0.0003, not 0.00029999. */
function momentumOf({ attributes: { momentum } }: Node): number {
  const kept = momentum?.kind === 'float' ? Number(momentum.value.toPrecision(7)) : 0.9;
  return Number((1 - kept).toPrecision(6));
}

/** False where mean and variance are computed in the graph, as for a layer that keeps none. */
const hasRunningStatistics = ({ inputs }: Node, { initializers }: Graph): boolean =>
  initializers.has(inputs[3] ?? '') && initializers.has(inputs[4] ?? '');

/** Left out rather than 0: operator sets below 14 do not know the attribute. */
export function inferenceBatchNorm(node: Node): Node {
  const { training_mode: _, ...attributes } = node.attributes;
  return { ...node, outputs: node.outputs.slice(0, 1), attributes };
}

/**
 * BatchNormalization over the micro-batch whose outputs 1 and 2 are the batch's mean and biased variance: momentum 0.
 * ONNX Runtime writes these two over the inputs 3 and 4, initialisers and folded constants included, so that a graph would
 * carry state from run to run, and mix the two up when they begin alike. So each gets zeros of its own, computed in every
 * run from what no optimiser can fold: parameters, or else a channel's first element.
 * @param trains  whether zeros may be made of a scale or bias: a parameter, and not of a use before, whose zeros they would be
 */
export function trainingBatchNorm(node: Node, [mean, variance]: readonly [string, string], trains: (name: string) => boolean): Node[] {
  const [X = '', scale = '', bias = ''] = node.inputs;
  const written: Node[] = [];
  const write = (op: string, inputs: readonly string[], name: string, attributes: Node['attributes'] = {}): string => {
    written.push({ op, domain: '', name, inputs, outputs: [name], attributes });
    return name;
  };
  const firstElements = (): string => {
    const [sample, channels, elements] = ['sample', 'channels', 'elements'].map((part) => `smlt.scratch/${node.name}/${part}`) as [
      string,
      string,
      string,
    ];
    write('Gather', [X, FIRST], sample); // [C, ...]
    write('Flatten', [sample], channels, { axis: int(1) }); // [C, rest]
    return write('Gather', [channels, FIRST], elements, { axis: int(1) }); // [C]
  };
  const [source = firstElements(), second] = [scale, bias].filter(trains);
  const zeros = write('Mul', [source, ZERO], `smlt.scratch/${mean}`);
  // Of the first ones where there is nothing else: equal nodes would be merged.
  const others = write('Mul', [second ?? zeros, ZERO], `smlt.scratch/${variance}`);
  const attributes = { epsilon: node.attributes.epsilon ?? float(1e-5), momentum: float(0), training_mode: int(1) };
  return [...written, { ...node, inputs: [X, scale, bias, zeros, others], outputs: [node.outputs[0] ?? '', mean, variance], attributes }];
}
