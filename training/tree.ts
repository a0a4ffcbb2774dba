import type { Span } from '../contracts/names';
import { add, HeapVectors, type Vectors } from './kernels';

/*
 * The one order in which numbers are added: a binary tree over [0, total), total a power of two.
 * 1. A node's sum is (sum of its left half) + (sum of its right half), elementwise, rounded to float32.
 * 2. So who adds which part, and what arrives when, cannot change a bit.
 */

export function isPowerOfTwo(n: number): boolean {
  return n >= 1 && Number.isInteger(Math.log2(n));
}

function checkTotal(total: number): void {
  if (!isPowerOfTwo(total)) throw new Error(`tree over ${total} leaves: expected a power of two`);
}

/** The largest nodes of the tree over [0, total) that lie inside the span, from left to right: one when it is aligned. */
export function treeNodes(span: Span, total: number): Span[] {
  checkTotal(total);
  if (span.start < 0 || span.end > total || span.start > span.end)
    throw new Error(`span ${span.start}-${span.end}: expected a span inside 0-${total}`);
  const nodes: Span[] = [];
  for (let start = span.start; start < span.end;) {
    let size = total;
    while (start % size !== 0 || start + size > span.end) size /= 2;
    nodes.push({ start, end: start + size });
    start += size;
  }
  return nodes;
}

export interface NodeSum {
  readonly node: Span;
  readonly sum: Float32Array;
}

/**
 * A worker's side: adds its lanes' vectors, given in lane order, up the tree. Holds at most log2(total) + 1 vectors besides
 * the finished ones. After `finish` it is ready for the next step.
 */
export class LaneSums {
  private readonly nodes: readonly Span[];
  private readonly stack: NodeSum[] = [];
  private finished: NodeSum[] = [];
  private nextLane: number;

  /** @param emit  gets each maximal node as soon as it is complete, and must be done with its vector when it returns */
  constructor(
    private readonly length: number,
    private readonly lanes: Span,
    total: number,
    private readonly emit?: (nodeSum: NodeSum) => void,
    private readonly vectors: Vectors = new HeapVectors(),
  ) {
    this.nodes = treeNodes(lanes, total);
    this.nextLane = lanes.start;
  }

  /** Adds one lane's vector; it may be used again when this returns. */
  add(lane: number, vector: Float32Array): void {
    if (lane !== this.nextLane || lane >= this.lanes.end)
      throw new Error(`lane ${lane}: expected lane ${this.nextLane} of ${this.lanes.start}-${this.lanes.end}, in order`);
    if (vector.length !== this.length) throw new Error(`lane ${lane}: expected ${this.length} elements, got ${vector.length}`);
    this.nextLane++;
    let start = lane;
    let sum = vector;
    for (let left = this.stack.at(-1); left !== undefined && isLeftOf(left.node, start, lane + 1); left = this.stack.at(-1)) {
      add(left.sum, left.sum, sum);
      if (sum !== vector) this.vectors.release(sum);
      this.stack.pop();
      start = left.node.start;
      sum = left.sum;
    }
    if (sum === vector) {
      sum = this.vectors.floats(this.length);
      sum.set(vector);
    }
    const nodeSum = { node: { start, end: lane + 1 }, sum };
    if (this.nodes.some((node) => node.start === start && node.end === lane + 1)) this.complete(nodeSum);
    else this.stack.push(nodeSum);
  }

  /** The maximal nodes and their sums, from left to right; none with `emit`. Give the vectors back with `recycle`. */
  finish(): NodeSum[] {
    if (this.nextLane !== this.lanes.end)
      throw new Error(`lanes ${this.nextLane}-${this.lanes.end} are missing from ${this.lanes.start}-${this.lanes.end}`);
    const sums = this.finished;
    this.finished = [];
    this.nextLane = this.lanes.start;
    return sums;
  }

  /** Takes vectors back that `finish` gave away, once their bytes are published. */
  recycle(sums: readonly NodeSum[]): void {
    for (const { sum } of sums) this.vectors.release(sum);
  }

  private complete(nodeSum: NodeSum): void {
    if (this.emit === undefined) {
      this.finished.push(nodeSum);
      return;
    }
    this.emit(nodeSum);
    this.vectors.release(nodeSum.sum);
  }
}

/** True when `left` and [start, end) are the two halves of one node. */
function isLeftOf(left: Span, start: number, end: number): boolean {
  const size = end - start;
  return left.end === start && left.end - left.start === size && left.start % (2 * size) === 0;
}

/**
 * An owner's side: adds published nodes up the same tree, in whatever order they arrive. Vectors that are added are read
 * only, and must not change before `finish`. After `finish` it is ready for the next step.
 */
export class NodeSums {
  /** Nodes that wait for their other half, by first lane. Only our own vectors are recycled. */
  private readonly waiting = new Map<number, { node: Span; sum: Float32Array; own: boolean }>();

  constructor(
    private readonly length: number,
    private readonly total: number,
    private readonly vectors: Vectors = new HeapVectors(),
  ) {
    checkTotal(total);
  }

  add(node: Span, vector: Float32Array): void {
    const size = node.end - node.start;
    if (!isPowerOfTwo(size) || node.start % size !== 0 || node.start < 0 || node.end > this.total)
      throw new Error(`node ${node.start}-${node.end}: expected a node of the tree over 0-${this.total}`);
    if (vector.length !== this.length) throw new Error(`node ${node.start}-${node.end}: expected ${this.length} elements, got ${vector.length}`);
    for (const other of this.waiting.values())
      if (other.node.start < node.end && node.start < other.node.end)
        throw new Error(`node ${node.start}-${node.end}: overlaps ${other.node.start}-${other.node.end}, which was added before`);
    let merged = { node, sum: vector, own: false };
    for (;;) {
      const { start, end } = merged.node;
      const width = end - start;
      const isRight = start % (2 * width) !== 0;
      const sibling = this.waiting.get(isRight ? start - width : end);
      if (width === this.total || sibling === undefined || sibling.node.end - sibling.node.start !== width) break;
      this.waiting.delete(sibling.node.start);
      const [left, right] = isRight ? [sibling, merged] : [merged, sibling];
      const sum = left.own ? left.sum : right.own ? right.sum : this.vectors.floats(this.length);
      add(sum, left.sum, right.sum);
      if (left.own && right.own) this.vectors.release(right.sum);
      merged = { node: { start: left.node.start, end: right.node.end }, sum, own: true };
    }
    this.waiting.set(merged.node.start, merged);
  }

  /** The sum over all leaves: the caller's own vector; `recycle` takes it back. @throws when nodes are missing */
  finish(): Float32Array {
    const root = this.waiting.get(0);
    if (root === undefined || root.node.end !== this.total) {
      const have = [...this.waiting.values()].map(({ node }) => `${node.start}-${node.end}`).join(', ');
      throw new Error(`tree over 0-${this.total}: nodes are missing, have ${have || 'none'}`);
    }
    this.waiting.clear();
    if (root.own) return root.sum;
    const copy = this.vectors.floats(this.length);
    copy.set(root.sum);
    return copy;
  }

  recycle(sum: Float32Array): void {
    this.vectors.release(sum);
  }

  /** Forgets what was added, for a step that is begun again. */
  clear(): void {
    for (const { sum, own } of this.waiting.values()) if (own) this.vectors.release(sum);
    this.waiting.clear();
  }
}
