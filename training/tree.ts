import type { Span } from '../contracts/names';
import { checkTotal, isPowerOfTwo, treeNodes } from '../contracts/tree-nodes';
import { add, HeapVectors, type Vectors } from './kernels';

/*
 * The one order in which numbers are added: a binary tree over [0, total), total a power of two.
 * 1. A node's sum is (sum of its left half) + (sum of its right half), elementwise, rounded to float32.
 * 2. So who adds which part, and what arrives when, cannot change a bit.
 * 3. What is compressed is rounded at every node, leaves too, by a function of the node: the same holds then.
 */

/** Rounds a node's sum in place. */
export type Settle = (sum: Float32Array, node: Span) => void;

export interface NodeSum {
  readonly node: Span;
  readonly sum: Float32Array;
}

/**
 * A worker's side: adds its lanes' vectors, given in lane order, up the tree. Holds at most log2(lanes) + 1 vectors, the one
 * that is being computed included, besides those of maximal nodes that it has given away. After the last lane it is ready for the next step.
 */
export class LaneSums {
  private readonly nodes: readonly Span[];
  private readonly stack: NodeSum[] = [];
  private nextLane: number;

  /** @param pieces  stretches of the vector, in the order in which a maximal node is finished; together all of it */
  constructor(
    private readonly length: number,
    private readonly lanes: Span,
    total: number,
    private readonly pieces: readonly Span[] = [{ start: 0, end: length }],
    private readonly vectors: Vectors = new HeapVectors(),
    private readonly settling: (piece: Span) => Settle | undefined = () => undefined,
  ) {
    this.nodes = treeNodes(lanes, total);
    this.nextLane = lanes.start;
  }

  /** Where the next lane's vector may be computed: `add` takes it. */
  take(): Float32Array {
    return this.vectors.floats(this.length);
  }

  /**
   * Adds one lane's vector, which is nobody else's from here on: it becomes a node's, or is released.
   * @param onPiece  hears of each piece of a maximal node as soon as it is summed, so that it can be sent while others are added
   * @returns the maximal node that this lane has completed, if it has; give its vector back with `recycle`
   */
  add(lane: number, vector: Float32Array, onPiece: (node: Span, piece: Span, sum: Float32Array) => void = () => undefined): NodeSum | undefined {
    if (lane !== this.nextLane || lane >= this.lanes.end)
      throw new Error(`lane ${lane}: expected lane ${this.nextLane} of ${this.lanes.start}-${this.lanes.end}, in order`);
    if (vector.length !== this.length) throw new Error(`lane ${lane}: expected ${this.length} elements, got ${vector.length}`);
    this.nextLane = lane + 1 === this.lanes.end ? this.lanes.start : lane + 1;
    const lefts: NodeSum[] = [];
    let start = lane;
    for (let left = this.stack.at(-1); left !== undefined && isLeftOf(left.node, start, lane + 1); left = this.stack.at(-1)) {
      lefts.push(left);
      start = left.node.start;
      this.stack.pop();
    }
    const node = { start, end: lane + 1 };
    const sum = lefts.at(-1)?.sum ?? vector;
    const isMaximal = this.nodes.some((maximal) => maximal.start === start && maximal.end === lane + 1);
    // One piece after the other goes all the way up: it stays in the cache, and can be sent while the next one is added.
    for (const piece of this.pieces) {
      const slice = (whole: Float32Array) => whole.subarray(piece.start, piece.end);
      const settle = this.settling(piece);
      let right = slice(vector);
      settle?.(right, { start: lane, end: lane + 1 });
      for (const left of lefts) {
        add(slice(left.sum), slice(left.sum), right);
        right = slice(left.sum);
        settle?.(right, { start: left.node.start, end: lane + 1 });
      }
      if (isMaximal) onPiece(node, piece, right);
    }
    if (lefts.length > 0) this.vectors.release(vector);
    for (const left of lefts.slice(0, -1)) this.vectors.release(left.sum);
    if (isMaximal) return { node, sum };
    this.stack.push({ node, sum });
    return undefined;
  }

  /** Takes a maximal node's vector back, once nobody reads it any more. */
  recycle({ sum }: NodeSum): void {
    this.vectors.release(sum);
  }

  /** For a step that is begun again; somebody else has taken the vectors back. */
  forget(): void {
    this.stack.length = 0;
    this.nextLane = this.lanes.start;
  }
}

/** True when `left` and [start, end) are the two halves of one node. */
function isLeftOf(left: Span, start: number, end: number): boolean {
  const size = end - start;
  return left.end === start && left.end - left.start === size && left.start % (2 * size) === 0;
}

/** What may be done with a vector that was added: `given` is recycled too, `lent` may be overwritten, `read` may not. */
export type Use = 'given' | 'lent' | 'read';
export interface NodeSumInUse extends NodeSum {
  readonly use: Use;
}

/**
 * An owner's side: adds published nodes up the same tree, in whatever order they arrive. Vectors must not change before
 * `finish`, but for what this does itself. After `finish` it is ready for the next step.
 */
export class NodeSums {
  /** Nodes that wait for their other half, by first lane. */
  private readonly waiting = new Map<number, NodeSumInUse>();

  constructor(
    private readonly length: number,
    private readonly total: number,
    private readonly vectors: Vectors = new HeapVectors(),
    private readonly settle?: Settle,
  ) {
    checkTotal(total);
  }

  add(node: Span, vector: Float32Array, use: Use = 'read'): void {
    const size = node.end - node.start;
    if (!isPowerOfTwo(size) || node.start % size !== 0 || node.start < 0 || node.end > this.total)
      throw new Error(`node ${node.start}-${node.end}: expected a node of the tree over 0-${this.total}`);
    if (vector.length !== this.length) throw new Error(`node ${node.start}-${node.end}: expected ${this.length} elements, got ${vector.length}`);
    for (const other of this.waiting.values())
      if (other.node.start < node.end && node.start < other.node.end)
        throw new Error(`node ${node.start}-${node.end}: overlaps ${other.node.start}-${other.node.end}, which was added before`);
    let merged: NodeSumInUse = { node, sum: vector, use };
    for (;;) {
      const { start, end } = merged.node;
      const width = end - start;
      const isRight = start % (2 * width) !== 0;
      const sibling = this.waiting.get(isRight ? start - width : end);
      if (width === this.total || sibling === undefined || sibling.node.end - sibling.node.start !== width) break;
      this.waiting.delete(sibling.node.start);
      const [left, right] = isRight ? [sibling, merged] : [merged, sibling];
      merged = { node: { start: left.node.start, end: right.node.end }, ...this.sumOf(left, right) };
      this.settle?.(merged.sum, merged.node);
    }
    this.waiting.set(merged.node.start, merged);
  }

  private sumOf(left: NodeSumInUse, right: NodeSumInUse): Omit<NodeSumInUse, 'node'> {
    const into = [left, right].find(({ use }) => use === 'given') ?? [left, right].find(({ use }) => use === 'lent');
    const { sum, use } = into ?? { sum: this.vectors.floats(this.length), use: 'given' };
    add(sum, left.sum, right.sum);
    for (const other of [left, right]) if (other !== into && other.use === 'given') this.vectors.release(other.sum);
    return { sum, use };
  }

  /** The sums of these nodes, which all that was added makes up, from left to right; they are the caller's as far as `use` says. @throws when nodes are missing */
  take(nodes: readonly Span[]): NodeSumInUse[] {
    const taken = nodes.map(({ start, end }) => {
      const found = this.waiting.get(start);
      if (found !== undefined && found.node.end === end) return found;
      const have = [...this.waiting.values()].map(({ node }) => `${node.start}-${node.end}`).join(', ');
      throw new Error(`tree over 0-${this.total}: nodes are missing, have ${have || 'none'}`);
    });
    this.waiting.clear();
    return taken;
  }

  /** The sum over all leaves, for the caller to change; `recycle` takes it back. @throws when nodes are missing */
  finish(): Float32Array {
    const root = this.take([{ start: 0, end: this.total }])[0]!;
    if (root.use !== 'read') {
      this.lent = root.use === 'lent' ? root.sum : undefined;
      return root.sum;
    }
    const copy = this.vectors.floats(this.length);
    copy.set(root.sum);
    return copy;
  }
  private lent: Float32Array | undefined;

  recycle(sum: Float32Array): void {
    if (sum !== this.lent) this.vectors.release(sum);
    this.lent = undefined;
  }

  /** For a step that is begun again; somebody else has taken the vectors back. */
  forget(): void {
    this.waiting.clear();
    this.lent = undefined;
  }
}
