import { partialBytes, type Compression } from './compression';
import { evenBorders } from './cut';
import { keepsLaneStates } from './lane-state';
import type { Span } from './names';
import type { Cut } from './round';
import { extraRange, LOSSES_KEPT } from './step-names';
import { isReplicated, type LocalSteps, type Topology } from './synchronization';
import { blockNodes, treeNodes } from './tree-nodes';

/** All that the traffic of a step depends on. */
export interface StepShape {
  readonly topology: Topology;
  /** Scatter-reduce: workers add gradients up in so many groups before owners do. Left out: as many as workers, so none do. */
  readonly groups?: number | undefined;
  readonly cut: Cut;
  readonly lanes: number;
  readonly paramCount: number;
  readonly bufferCount: number;
  /** Floats of optimiser state a parameter. */
  readonly slots: number;
  /** Floats that the schedule keeps, such as the counters of reduce-on-plateau. */
  readonly counters?: number;
  /** With global-norm clipping: elements of a block. */
  readonly clipBlock?: number | undefined;
  /** The losses of a batch weigh differently, so its mean weight goes round. */
  readonly weighs?: boolean;
  readonly compression?: Compression | undefined;
  /** Share of a sparse sum's elements that are not zero; left out: all, the most that there can be. */
  readonly density?: number | undefined;
  readonly localSteps?: LocalSteps | undefined;
}

/** What one worker moves through the exchange in one step of the middle of a round. Waiting is not in it: it moves nothing. */
export interface Traffic {
  /** Headers included. */
  readonly bytesWritten: number;
  readonly bytesRead: number;
  readonly puts: number;
  readonly gets: number;
}

/** In front of every value in the exchange (storage/frame.ts). */
const FRAME_BYTES = 24;
const FLOAT_BYTES = 4;
const NORM_BYTES = 8;
const framed = (floats: number) => FRAME_BYTES + FLOAT_BYTES * floats;
/** A sum of gradients of this stretch, as the job compresses it. */
const framedPartial = ({ compression, paramCount, density }: StepShape, { start, end }: Span) =>
  FRAME_BYTES + partialBytes(compression, end - start, Math.max(0, Math.min(end, paramCount) - start), density);
const lengthOf = ({ start, end }: Span) => end - start;

class Counter implements Traffic {
  bytesWritten = 0;
  bytesRead = 0;
  puts = 0;
  gets = 0;
  put(bytes: number, times = 1): void {
    this.bytesWritten += times * bytes;
    this.puts += times;
  }
  get(bytes: number, times = 1): void {
    this.bytesRead += times * bytes;
    this.gets += times;
  }
}

/**
 * Exactly what every worker moves in a step, by worker (docs/synchronisation.md). A worker that is alone moves nothing.
 * Beyond the steps of a round: the last one's extra state is read by nobody, and what faults cost is not in it.
 */
export function stepTraffic(shape: StepShape): Traffic[] {
  const workers = shape.cut.laneBorders.length - 1;
  const counters = Array.from({ length: workers }, () => new Counter());
  if (workers === 1 && !keepsLaneStates(shape)) return counters;
  if (shape.topology === 'all-to-all') countAllToAll(shape, counters);
  else if (shape.topology === 'all-reduce-leader') countLeader(shape, counters);
  else countScatter(shape, counters);
  countValues(shape, counters);
  return counters;
}

/** The part of it that is no gradient: values that are published and fetched, by worker. */
export function valueTraffic(shape: StepShape): Traffic[] {
  const counters = Array.from({ length: shape.cut.laneBorders.length - 1 }, () => new Counter());
  if (counters.length > 1) countValues(shape, counters);
  return counters;
}

/** Waits in a row of one step, each for at least one request's latency after somebody else's put. */
export function barriersOf({ topology, groups, cut }: Pick<StepShape, 'topology' | 'groups' | 'cut'>): number {
  const workers = cut.laneBorders.length - 1;
  if (workers === 1) return 0;
  if (topology === 'all-reduce-leader') return 3;
  return topology === 'scatter-reduce' && isGrouped(groups, workers) ? 3 : 2;
}

/** One group, or one for each worker, is plain scatter-reduce. */
export const isGrouped = (groups: number | undefined, workers: number): groups is number => groups !== undefined && groups > 1 && groups < workers;

/** How many tree nodes each of these stretches of lanes is made of. */
function nodeCounts({ lanes }: StepShape, laneBorders: readonly number[]): number[] {
  return laneBorders.slice(1).map((end, i) => treeNodes({ start: laneBorders[i]!, end }, lanes).length);
}
const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);
const vectorLength = ({ paramCount, bufferCount }: StepShape) => paramCount + bufferCount + 1;

/** The vector in owners' stretches, in order; what one owner has next to each other is one stretch. */
export function ownedSpans({ cut, paramCount, bufferCount }: Pick<StepShape, 'cut' | 'paramCount' | 'bufferCount'>): { owner: number; span: Span }[] {
  const spans: { owner: number; span: Span }[] = [];
  for (let owner = 0; owner + 1 < cut.rangeBorders.length; owner++) {
    const span = { start: cut.rangeBorders[owner]!, end: cut.rangeBorders[owner + 1]! };
    if (lengthOf(span) > 0) spans.push({ owner, span });
  }
  const extra = extraRange(paramCount, bufferCount);
  const last = spans.at(-1)!;
  if (last.owner === 0) last.span = { start: last.span.start, end: extra.end };
  else spans.push({ owner: 0, span: extra });
  return spans;
}

/** Scatter-reduce with and without groups, and a parameter server, which is the same with one owner of everything. */
function countScatter(shape: StepShape, counters: readonly Counter[]): void {
  const { laneBorders } = shape.cut;
  const workers = counters.length;
  const groups = shape.topology === 'scatter-reduce' && isGrouped(shape.groups, workers) ? shape.groups : workers;
  const groupBorders = evenBorders(workers, groups);
  const nodes = nodeCounts(shape, laneBorders);
  const groupNodes = nodeCounts(
    shape,
    groupBorders.map((worker) => laneBorders[worker]!),
  );
  const allNodes = sum(groupNodes);
  const spans = ownedSpans(shape);
  const spanBytes = spans.map(({ span }) => framedPartial(shape, span));
  const bytesUpTo = [0];
  for (const bytes of spanBytes) bytesUpTo.push(bytesUpTo.at(-1)! + bytes);
  const groupOf = (worker: number) => groupBorders.findIndex((border) => border > worker) - 1;
  // Owners read every group's nodes; what they have added up themselves they need not.
  for (const [i, { owner }] of spans.entries()) {
    counters[owner]!.get(spanBytes[i]!, allNodes);
    const group = groupOf(owner);
    const pieceBorders = evenBorders(spans.length, groupBorders[group + 1]! - groupBorders[group]!);
    const member = owner - groupBorders[group]!;
    if (i < pieceBorders[member]! || i >= pieceBorders[member + 1]!) continue;
    counters[owner]!.get(spanBytes[i]!, -groupNodes[group]!);
    counters[owner]!.put(spanBytes[i]!, -groupNodes[group]!);
  }
  for (let group = 0; group < groups; group++) {
    const first = groupBorders[group]!;
    const size = groupBorders[group + 1]! - first;
    const pieceBorders = evenBorders(spans.length, size);
    const pieceBytes = Array.from({ length: size }, (_, member) => {
      const [start, end] = [pieceBorders[member]!, pieceBorders[member + 1]!];
      return start === end ? 0 : framedPartial(shape, { start: spans[start]!.span.start, end: spans[end - 1]!.span.end });
    });
    const pieces = pieceBytes.filter((bytes) => bytes > 0).length;
    const allPieceBytes = sum(pieceBytes);
    const memberNodes = sum(nodes.slice(first, first + size));
    for (let member = 0; member < size; member++) {
      const counter = counters[first + member]!;
      const own = nodes[first + member]!;
      const takes = pieceBytes[member]! > 0 ? 1 : 0;
      counter.bytesWritten += own * (allPieceBytes - pieceBytes[member]!);
      counter.puts += own * (pieces - takes);
      counter.get(pieceBytes[member]!, takes * (memberNodes - own));
      const [start, end] = [pieceBorders[member]!, pieceBorders[member + 1]!];
      counter.bytesWritten += groupNodes[group]! * (bytesUpTo[end]! - bytesUpTo[start]!);
      counter.puts += groupNodes[group]! * (end - start);
    }
  }
}

function countAllToAll(shape: StepShape, counters: readonly Counter[]): void {
  const nodes = nodeCounts(shape, shape.cut.laneBorders);
  const bytes = framedPartial(shape, { start: 0, end: vectorLength(shape) });
  for (const [worker, counter] of counters.entries()) {
    counter.put(bytes, nodes[worker]);
    counter.get(bytes, sum(nodes) - nodes[worker]!);
  }
}

function countLeader(shape: StepShape, counters: readonly Counter[]): void {
  const nodes = nodeCounts(shape, shape.cut.laneBorders);
  const bytes = framedPartial(shape, { start: 0, end: vectorLength(shape) });
  const [leader, ...others] = counters;
  leader!.get(bytes, sum(nodes) - nodes[0]!);
  leader!.put(bytes);
  for (const [i, counter] of others.entries()) {
    counter.put(bytes, nodes[i + 1]);
    counter.get(bytes);
  }
}

/** Params and state of the own range, which make a step complete; the others' params; norms and the mean weight. */
function countValues(shape: StepShape, counters: readonly Counter[]): void {
  const { topology, cut, paramCount, bufferCount, slots, clipBlock, counters: scheduleFloats = 0 } = shape;
  const replicated = isReplicated(topology);
  const rangeOf = (worker: number): Span => ({ start: cut.rangeBorders[worker]!, end: cut.rangeBorders[worker + 1]! });
  const ranges = counters.map((_, worker) => rangeOf(worker)).filter((range) => lengthOf(range) > 0);
  const normBytes = (range: Span) => (clipBlock === undefined ? 0 : FRAME_BYTES + NORM_BYTES * blockNodes(range, clipBlock, paramCount).length);
  const allParamBytes = ranges.reduce((bytes, range) => bytes + framed(lengthOf(range)), 0);
  const allNormBytes = ranges.reduce((bytes, range) => bytes + normBytes(range), 0);
  const extraBytes = framed(bufferCount + LOSSES_KEPT + scheduleFloats);
  for (const [worker, counter] of counters.entries()) {
    const own = rangeOf(worker);
    const owns = lengthOf(own) > 0;
    const paramBytes = owns ? framed(lengthOf(own)) : 0;
    if (owns) {
      counter.put(paramBytes);
      counter.put(framed(lengthOf(own) * slots));
    }
    if (worker === 0) counter.put(extraBytes);
    if (replicated) continue;
    const others = ranges.length - (owns ? 1 : 0);
    counter.bytesRead += allParamBytes - paramBytes;
    counter.gets += others;
    if (scheduleFloats > 0 && worker !== 0) counter.get(extraBytes);
    if (clipBlock !== undefined && owns) {
      counter.put(normBytes(own));
      counter.bytesRead += allNormBytes - normBytes(own);
      counter.gets += others;
    }
    if (shape.weighs && worker === 0) counter.put(framed(1));
    else if (shape.weighs && owns) counter.get(framed(1));
  }
}
