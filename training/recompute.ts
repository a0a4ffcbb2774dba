import { FIRST, trainingBatchNorm } from './batch-norm';
import { bytesOf, peakLiveBytes } from './estimate';
import { GraphWriter } from './graph-writer';
import type { Graph, Node } from './onnx/graph';
import { int } from './onnx/graph';
import type { Value } from './shapes';

/**
 * Recomputation (checkpointing; Chen et al. 2016): the forward nodes are cut into segments. What crosses a cut is kept;
 * the rest of a segment is computed again when the backward pass gets to it. The last segment is still there by then.
 * 1. Gradients keep their bits: the backward nodes stay as they are, in their order, and forward nodes are repeated as they
 *    were, over the same values.
 * 2. A repeated segment must not begin before the backward pass needs it, nor be merged with the first one as a common
 *    subexpression. So what it starts from is joined with no element of a gradient: a copy that has to wait.
 */
export interface Differentiated {
  readonly graph: Graph;
  readonly values: ReadonlyMap<string, Value>;
  /** Nodes of the graph that are the model's own: all before those of the loss and of the gradients. */
  readonly forward: ReadonlySet<Node>;
  /** Parameters' names: inputs that are there anyway. */
  readonly params: ReadonlySet<string>;
}

/** Smaller values are kept: statistics, masks' scales, shapes. */
const SMALL_BYTES = 4_096;
const MOST_SEGMENTS = 24;

/**
 * The graph that repeats the least and whose tensors take at most `boundBytes`; where there is none, or no bound, the one
 * that takes the least.
 */
export function recomputed(source: Differentiated, boundBytes: number | undefined): { graph: Graph; liveBytes: number; segments: number } {
  let best = { graph: source.graph, liveBytes: peakLiveBytes(source.graph, source.values), segments: 1 };
  const most = Math.min(MOST_SEGMENTS, 2 * Math.ceil(Math.sqrt(source.forward.size)));
  for (let segments = 2; segments <= most && !(boundBytes !== undefined && best.liveBytes <= boundBytes); segments++) {
    const values = new Map(source.values);
    const graph = inSegments({ ...source, values }, segments);
    const liveBytes = peakLiveBytes(graph, values);
    if (liveBytes < best.liveBytes) best = { graph, liveBytes, segments };
  }
  return best;
}

/** @param source  whose `values` get those that are made here */
function inSegments(source: Differentiated & { values: Map<string, Value> }, segments: number): Graph {
  const { graph, values, forward } = source;
  const plan = planOf(source, segments);
  const writer = new Again(source, plan);
  const nodes: Node[] = [];
  for (const node of graph.nodes) {
    if (forward.has(node)) {
      nodes.push(node);
      continue;
    }
    const { before, inputs } = writer.inputsOf(node, nodes);
    nodes.push(...before, { ...node, inputs });
  }
  const initializers = new Map([...graph.initializers, ...writer.g.initializers]).set(FIRST, {
    type: 'int64',
    shape: [],
    data: BigInt64Array.of(0n),
  });
  for (const [name, value] of writer.g.values) values.set(name, value);
  return { ...graph, nodes, initializers };
}

interface Plan {
  /** A forward value's maker. */
  readonly maker: ReadonlyMap<string, Node>;
  readonly segmentOf: ReadonlyMap<Node, number>;
  /** Forward values that stay alive from the forward pass on. */
  readonly kept: ReadonlySet<string>;
  readonly last: number;
}

/** Cuts where little crosses, so that the segments hold about as many bytes each. */
function planOf({ graph, values, forward }: Differentiated, segments: number): Plan {
  const nodes = graph.nodes.filter((node) => forward.has(node));
  const maker = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const lastUse = new Map<string, number>();
  nodes.forEach(({ inputs }, i) => inputs.forEach((name) => maker.has(name) && lastUse.set(name, i)));
  let total = 0;
  let crossing = 0;
  const bytesUpTo: number[] = [];
  const crossingAfter: number[] = [];
  nodes.forEach(({ inputs, outputs }, i) => {
    for (const name of outputs) {
      total += bytesOf(values.get(name));
      if ((lastUse.get(name) ?? i) > i) crossing += bytesOf(values.get(name));
    }
    for (const name of new Set(inputs)) if (lastUse.get(name) === i) crossing -= bytesOf(values.get(name));
    bytesUpTo.push(total);
    crossingAfter.push(crossing);
  });
  const reach = total / segments / 3;
  const cuts = Array.from({ length: segments - 1 }, (_, k) => {
    const ideal = ((k + 1) * total) / segments;
    let cut = -1;
    bytesUpTo.forEach((bytes, i) => {
      const near = Math.abs(bytes - ideal) <= reach && i < nodes.length - 1;
      if (near && (cut < 0 || crossingAfter[i]! < crossingAfter[cut]!)) cut = i;
    });
    return cut;
  });
  const segmentAt = (i: number) => cuts.filter((cut) => cut >= 0 && cut < i).length;
  const segmentOf = new Map(nodes.map((node, i) => [node, segmentAt(i)]));
  const crosses = (name: string, made: Node) => segmentAt(lastUse.get(name) ?? -1) > (segmentOf.get(made) ?? 0);
  const results = new Set(graph.outputs.map(({ name }) => name));
  const kept = [...maker].flatMap(([name, made]) =>
    results.has(name) || bytesOf(values.get(name)) <= SMALL_BYTES || crosses(name, made) ? [name] : [],
  );
  return { maker, segmentOf, kept: new Set(kept), last: segmentAt(nodes.length - 1) };
}

/** Repeats forward nodes for the backward nodes that read what they made. */
class Again {
  readonly g: GraphWriter;
  /** Repeated values by segment, and the segment's copies of what it starts from. */
  readonly #made = new Map<number, Map<string, string>>();
  readonly #joins = new Map<number, Value | undefined>();

  constructor(
    private readonly source: Differentiated,
    private readonly plan: Plan,
  ) {
    this.g = new GraphWriter(source.graph.opset);
    for (const [name, value] of source.values) this.g.values.set(name, value);
  }

  /** The inputs that a backward node is to read, and the nodes that must come before it. */
  inputsOf(node: Node, done: readonly Node[]): { before: Node[]; inputs: readonly string[] } {
    const { maker, segmentOf, kept, last } = this.plan;
    const before: Node[] = [];
    const inputs = node.inputs.map((name) => {
      const made = maker.get(name);
      const segment = made && segmentOf.get(made);
      if (!made || segment === undefined || segment === last || kept.has(name)) return name;
      if (!this.#made.has(segment)) {
        this.#made.set(segment, new Map());
        this.#joins.set(segment, this.#trigger(node, done));
      }
      return this.#repeat(name, segment, before);
    });
    return { before, inputs };
  }

  /** A gradient that is known when the node is reached: one that it reads, or else the last one made. */
  #trigger({ inputs }: Node, done: readonly Node[]): Value | undefined {
    const { values, forward } = this.source;
    const backward = new Set(done.flatMap((each) => (forward.has(each) ? [] : each.outputs)));
    const usable = (name: string) => backward.has(name) && values.get(name)?.type === 'float32' && bytesOf(values.get(name)) > 0;
    const name = inputs.find(usable) ?? [...backward].findLast(usable);
    return name === undefined ? undefined : values.get(name);
  }

  /** The name of a value of this segment, made again. */
  #repeat(name: string, segment: number, into: Node[]): string {
    const { maker, segmentOf, kept } = this.plan;
    const made = this.#made.get(segment) as Map<string, string>;
    const known = made.get(name);
    if (known !== undefined) return known;
    const node = maker.get(name);
    if (!node || segmentOf.get(node) !== segment || kept.has(name)) {
      const start = this.#start(name, segment, into);
      made.set(name, start);
      return start;
    }
    const outputs = node.outputs.map((output) => (output === '' ? '' : this.g.freshName('again')));
    const norm = node.op === 'BatchNormalization' && node.outputs.length === 3;
    const inputs = node.inputs.map((input, i) => (input === '' || (norm && i >= 3) ? input : this.#repeat(input, segment, into)));
    node.outputs.forEach((output, i) => {
      const value = this.source.values.get(output);
      if (value) this.g.define({ name: outputs[i] as string, type: value.type, shape: value.shape });
      made.set(output, outputs[i] as string);
    });
    const again: Node = { ...node, name: outputs[0] as string, inputs, outputs };
    // Its statistics are written over zeros, which need to be its own.
    into.push(...(norm ? trainingBatchNorm(again, [outputs[1] as string, outputs[2] as string], () => false) : [again]));
    return made.get(name) as string;
  }

  /** A value that is there from the forward pass on: itself, or a copy that waits for the backward pass. */
  #start(name: string, segment: number, into: Node[]): string {
    const { values, params, graph } = this.source;
    const value = values.get(name);
    const waiting = this.#joins.get(segment);
    if (!value || params.has(name) || graph.initializers.has(name) || value.type !== 'float32' || bytesOf(value) <= SMALL_BYTES || !waiting)
      return name;
    const from = this.g.nodes.length;
    const none = this.g.emit('Slice', [this.g.reshape(waiting, [-1]), this.g.ints([0]), this.g.ints([0])], { shape: [0], type: 'float32' });
    const flat = this.g.reshape(value, [value.shape.reduce((product, axis) => product * axis, 1)]);
    const joined = this.g.emit('Concat', [flat, none], flat, { axis: int(0) });
    const copy = this.g.reshape(joined, value.shape);
    into.push(...this.g.nodes.splice(from));
    return copy.name;
  }
}
