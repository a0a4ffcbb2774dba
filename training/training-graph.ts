import { SmltError } from '../contracts/errors';
import { LOSS_WEIGHT } from '../contracts/loss';
import { differentiate } from './differentiate';
import { peakLiveBytes } from './estimate';
import type { FixedGraph } from './fix-batch';
import { fixBatch } from './fix-batch';
import type { GraphWriter } from './graph-writer';
import { elementsOf } from './graph-writer';
import type { WrittenLoss } from './losses/written-loss';
import type { Graph, Node } from './onnx/graph';
import { sizeOf } from './onnx/graph';
import { recomputed } from './recompute';
import type { Value } from './shapes';
import { show } from './shapes';
import type { TrainingForm } from './training-form';
import { graphNames } from './training-form';

export interface TrainingGraphRequest {
  readonly samples: number;
  /** The graph's inputs, every axis known. */
  readonly inputs: readonly Value[];
  /** Initialisers that train, as far as a gradient reaches them. */
  readonly candidates: readonly string[];
  /** Appends the loss to the first output: its sum over the samples, that sum's gradient, and what inputs it takes. */
  readonly loss: (g: GraphWriter, outputs: Value) => WrittenLoss & { readonly inputs: readonly Value[] };
  /** The output that predicts, whose shape is asked for. */
  readonly predicts?: string | undefined;
  /** Compute intermediates again rather than keep them: as far as the tensors then take at most so many bytes, or the least. */
  readonly recompute?: { readonly boundBytes: number | undefined } | undefined;
  /** For hosts with ONNX Runtime's blocked layout, see channel-blocks.ts. */
  readonly blocked?: boolean;
}

/** One micro-batch's graph with what is known of it. */
export interface TrainingGraph {
  readonly graph: Graph;
  /** The candidates that a gradient reaches, in their order. */
  readonly params: readonly string[];
  readonly noise: readonly {
    readonly input: string;
    readonly node: number;
    readonly rate: number;
    readonly shape: number[];
    readonly elementsPerSample: number;
  }[];
  readonly liveBytes: number;
  readonly flops: number;
  /** Of one sample's output that predicts; undefined when there is none. */
  readonly outputShape: readonly number[] | undefined;
}

/** One micro-batch's graph: from parameters, features, targets and noise to loss, gradients and statistics, all sums over samples. */
export function trainingGraph(form: TrainingForm, request: TrainingGraphRequest): TrainingGraph {
  const { samples, candidates } = request;
  const trainable = new Set(candidates);
  const shapes = noiseShapes(form, request.inputs, samples, trainable);
  const noise = form.dropouts.map(({ input, rate }, node) => ({ input, node, rate, shape: shapes.get(input) ?? [] }));
  const inputs = [...request.inputs, ...noise.map(({ input, shape }): Value => ({ name: input, type: 'float32', shape }))];
  const fixed = fixBatch(form, inputs, trainable, request.blocked);
  const { g } = fixed;
  const forwardNodes = g.nodes.length;

  const outputs = fixed.valueOf(form.outputs[0]?.name ?? '');
  const written = request.loss(g, outputs);
  const gradients = differentiate(fixed, candidates, outputs, written.gradient);
  const params = candidates.filter((name) => gradients.has(name));
  if (params.length === 0)
    throw new SmltError('InvalidSpec', 'the model has nothing to train: no parameter reaches its output; add a layer with weights, such as dense');

  const results = [
    renamed(fixed, written.loss, graphNames.loss),
    ...params.map((name) => renamed(fixed, gradients.get(name) as Value, graphNames.gradient(name))),
    ...statistics(form, fixed, samples),
    ...(written.weight ? [renamed(fixed, written.weight, graphNames.statistic(LOSS_WEIGHT))] : []),
  ];
  // What no gradient reaches does not train: it goes back to what the file says.
  for (const name of candidates) {
    const tensor = form.initializers.get(name);
    if (tensor && !gradients.has(name)) g.initializers.set(name, tensor);
  }
  const trained = params.map((name) => fixed.valueOf(name));
  const plain = g.graph('training', [...inputs, ...written.inputs, ...trained], results);
  const forward = new Set(g.nodes.slice(0, forwardNodes));
  const { graph, liveBytes } = request.recompute
    ? recomputed({ graph: plain, values: g.values, forward, params: new Set(params) }, request.recompute.boundBytes)
    : { graph: plain, liveBytes: peakLiveBytes(plain, g.values) };
  return {
    graph,
    params,
    noise: noise.map((each) => ({ ...each, shape: each.shape.slice(1), elementsPerSample: sizeOf(each.shape.slice(1)) })),
    liveBytes,
    outputShape: request.predicts === undefined ? undefined : fixed.valueOf(request.predicts).shape.slice(1),
    flops: fixed.steps.reduce((sum, { at, rule }) => sum + (rule.flops?.(at) ?? 0), 0),
  };
}

/** A mask has its node's shape, which is known only once all before it is: one pass a dropout, each a layer further. */
function noiseShapes(form: TrainingForm, inputs: readonly Value[], samples: number, trainable: ReadonlySet<string>): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  if (form.dropouts.length === 0) return shapes;
  const plain = form.nodes.map((node): Node =>
    node.inputs[1]?.startsWith('smlt.noise.') ? { ...node, op: 'Identity', inputs: node.inputs.slice(0, 1) } : node,
  );
  const { valueOf } = fixBatch({ ...form, nodes: plain }, inputs, trainable);
  for (const { inputs: names, outputs } of form.nodes) if (names[1]?.startsWith('smlt.noise.')) shapes.set(names[1], valueOf(outputs[0] ?? '').shape);
  for (const [input, shape] of shapes)
    if (shape[0] !== samples) throw new SmltError('UnsupportedOperator', `Dropout ${input}: its input ${show(shape)} has no sample axis first`);
  return shapes;
}

/** Gives a result its public name; a value that is a result twice needs a node of its own. */
function renamed({ g }: FixedGraph, value: Value, name: string): Value {
  g.nodes.push({ op: 'Identity', domain: '', name, inputs: [value.name], outputs: [name], attributes: {} });
  return g.define({ name, shape: value.shape, type: value.type });
}

/** Batch statistics times samples, the variance unbiased as in PyTorch (ONNX's own is biased); of all uses of a layer together. */
function statistics(form: TrainingForm, fixed: FixedGraph, samples: number): Value[] {
  const { g, valueOf, steps } = fixed;
  const sums = new Map<string, Value>();
  for (const {
    node,
    statistics: [mean, variance],
    buffers,
    share,
  } of form.batchNorms) {
    const X = steps.find(({ at }) => at.node.name === node && at.node.op === 'BatchNormalization')?.at.inputs[0] as Value;
    const count = elementsOf(X) / (X.shape[1] ?? 1);
    if (count < 2)
      throw new SmltError(
        'InvalidSpec',
        `batch normalisation '${node}' would see one value a channel: expected lanes of at least 2 samples; raise training.batchSize or lower training.lanes`,
      );
    const add = (buffer: string, part: Value) => sums.set(buffer, sums.has(buffer) ? g.add(sums.get(buffer) as Value, part) : part);
    add(buffers[0], g.mul(valueOf(mean), samples * share));
    add(buffers[1], g.mul(valueOf(variance), ((samples * count) / (count - 1)) * share));
  }
  return [...sums].map(([buffer, sum]) => renamed(fixed, sum, graphNames.statistic(buffer)));
}
