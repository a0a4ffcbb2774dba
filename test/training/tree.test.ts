import fc from 'fast-check';
import type { Span } from '../../contracts/names';
import { HeapVectors } from '../../training/kernels';
import { uniformBits } from '../../training/random';
import { treeNodes } from '../../contracts/tree-nodes';
import { LaneSums, NodeSums, type NodeSum } from '../../training/tree';

/** Numbers of very unlike sizes, so that another order of adding shows. */
const laneVector = (lane: number, length: number, key = 1) =>
  Float32Array.from(
    { length },
    (_, i) => ((uniformBits([key, lane], i) - 2 ** 31) / 2 ** 31) * 10 ** ((uniformBits([key, lane], i + length) % 9) - 4),
  );
const bytesOf = (vector: Float32Array) => Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('hex');

/** The definition, straight: left half plus right half, each rounded to float32. */
function reference(lanes: Float32Array[]): Float32Array {
  if (lanes.length === 1) return lanes[0]!;
  const left = reference(lanes.slice(0, lanes.length / 2));
  const right = reference(lanes.slice(lanes.length / 2));
  return left.map((value, i) => Math.fround(value + right[i]!));
}

const total = fc.integer({ min: 0, max: 6 }).map((power) => 2 ** power);
const cuts = total.chain((lanes) =>
  fc.record({
    lanes: fc.constant(lanes),
    borders: fc
      .uniqueArray(fc.integer({ min: 1, max: Math.max(1, lanes - 1) }), { maxLength: 7 })
      .map((inner) => [0, ...inner.filter((border) => border < lanes).sort((a, b) => a - b), lanes]),
    length: fc.integer({ min: 1, max: 9 }),
    order: fc.infiniteStream(fc.nat()),
  }),
);
const spansOf = (borders: number[]): Span[] => borders.slice(1).map((end, i) => ({ start: borders[i]!, end }));

describe('tree nodes', () => {
  it('cover a span exactly, are nodes of the tree, and none could be larger', () => {
    fc.assert(
      fc.property(total, fc.nat(64), fc.nat(64), (lanes, a, b) => {
        const span = { start: Math.min(a, b) % (lanes + 1), end: 0 };
        span.end = Math.max(span.start, Math.max(a, b) % (lanes + 1));
        let reached = span.start;
        for (const { start, end } of treeNodes(span, lanes)) {
          const size = end - start;
          expect(start).toBe(reached);
          expect(start % size).toBe(0);
          const parent = start - (start % (2 * size));
          expect(size === lanes || parent < span.start || parent + 2 * size > span.end).toBe(true);
          reached = end;
        }
        expect(reached).toBe(span.end);
      }),
    );
  });
  it('are one for an aligned span and at most 2 log2 of the leaves otherwise', () => {
    expect(treeNodes({ start: 8, end: 12 }, 16)).toEqual([{ start: 8, end: 12 }]);
    for (let start = 0; start <= 64; start++)
      for (let end = start; end <= 64; end++) expect(treeNodes({ start, end }, 64).length).toBeLessThanOrEqual(12);
  });
  it('refuse a number of leaves that is no power of two', () => {
    expect(() => treeNodes({ start: 0, end: 3 }, 12)).toThrow('tree over 12 leaves: expected a power of two');
  });
});

/** Computes a lane's vector where the sums want it. */
function addLane(sums: LaneSums, lane: number, vector: Float32Array, onPiece?: Parameters<LaneSums['add']>[2]): NodeSum | undefined {
  const into = sums.take();
  into.set(vector);
  return sums.add(lane, into, onPiece);
}
const uses = ['given', 'lent', 'read'] as const;

describe('sums over lanes', () => {
  it('have the same bits for every cut of the lanes and every order of arrival', () => {
    fc.assert(
      fc.property(cuts, ({ lanes, borders, length, order }) => {
        const vectors = Array.from({ length: lanes }, (_, lane) => laneVector(lane, length));
        const published = spansOf(borders).flatMap((span) => {
          const sums = new LaneSums(length, span, lanes);
          const nodes: NodeSum[] = [];
          for (let lane = span.start; lane < span.end; lane++) nodes.push(...[addLane(sums, lane, vectors[lane]!) ?? []].flat());
          expect(nodes.map(({ node }) => node)).toEqual(treeNodes(span, lanes));
          return nodes;
        });
        const owner = new NodeSums(length, lanes);
        while (published.length > 0) {
          const [{ node, sum }] = published.splice(order.next().value % published.length, 1) as [NodeSum];
          owner.add(node, sum, uses[order.next().value % 3]);
        }
        expect(bytesOf(owner.finish())).toBe(bytesOf(reference(vectors)));
      }),
    );
  });
  it('have the same bits over any cut into ranges', () => {
    const vectors = Array.from({ length: 8 }, (_, lane) => laneVector(lane, 1_000));
    const whole = reference(vectors);
    for (const [start, end] of [
      [0, 256],
      [256, 768],
      [768, 1_000],
    ] as const) {
      const owner = new NodeSums(end - start, 8);
      vectors.forEach((vector, lane) => owner.add({ start: lane, end: lane + 1 }, vector.subarray(start, end)));
      expect(bytesOf(owner.finish())).toBe(bytesOf(whole.subarray(start, end)));
    }
  });
  it('leave what was added untouched, on both sides', () => {
    const vectors = Array.from({ length: 4 }, (_, lane) => laneVector(lane, 6));
    const before = vectors.map(bytesOf);
    const worker = new LaneSums(6, { start: 0, end: 4 }, 4);
    const owner = new NodeSums(6, 4);
    let node: NodeSum | undefined;
    vectors.forEach((vector, lane) => {
      node = addLane(worker, lane, vector);
      owner.add({ start: lane, end: lane + 1 }, vector);
    });
    const { sum } = node!;
    const only = new NodeSums(6, 4);
    only.add({ start: 0, end: 4 }, sum);
    const published = bytesOf(sum);
    only.finish().fill(0);
    expect(bytesOf(sum)).toBe(published);
    owner.finish().fill(0);
    expect(vectors.map(bytesOf)).toEqual(before);
  });
  it('use their vectors again, step after step, without mixing steps up', () => {
    const worker = new LaneSums(5, { start: 1, end: 8 }, 8);
    const owner = new NodeSums(5, 8);
    const seen = new Set<Float32Array>();
    for (let step = 0; step < 20; step++) {
      const vectors = Array.from({ length: 8 }, (_, lane) => laneVector(lane, 5, 100 + step));
      const nodes: NodeSum[] = [];
      for (let lane = 1; lane < 8; lane++) nodes.push(...[addLane(worker, lane, vectors[lane]!) ?? []].flat());
      owner.add({ start: 0, end: 1 }, vectors[0]!);
      for (const { node, sum } of nodes) {
        owner.add(node, sum);
        seen.add(sum);
      }
      const root = owner.finish();
      expect(bytesOf(root)).toBe(bytesOf(reference(vectors)));
      seen.add(root);
      nodes.forEach((node) => worker.recycle(node));
      owner.recycle(root);
    }
    expect(seen.size).toBeLessThan(10);
  });
  it('come out piece by piece, as soon as each node is complete, to who asks for it', () => {
    const heard: string[] = [];
    const pieces = [
      { start: 2, end: 3 },
      { start: 0, end: 2 },
    ];
    const sums = new LaneSums(3, { start: 2, end: 8 }, 8, pieces);
    const vectors = Array.from({ length: 8 }, (_, l) => laneVector(l, 3));
    for (let lane = 2; lane < 8; lane++) {
      const whole = addLane(sums, lane, vectors[lane]!, (node, piece, sum) =>
        heard.push(`lane ${lane}: ${node.start}-${node.end} ${piece.start}-${piece.end} ${bytesOf(sum)}`),
      );
      if (whole) heard.push(`lane ${lane}: ${whole.node.start}-${whole.node.end} ${bytesOf(whole.sum)}`);
    }
    const expected = (lane: number, start: number, end: number) => {
      const sum = reference(vectors.slice(start, end));
      const parts = pieces.map(
        (piece) => `lane ${lane}: ${start}-${end} ${piece.start}-${piece.end} ${bytesOf(sum.subarray(piece.start, piece.end))}`,
      );
      return [...parts, `lane ${lane}: ${start}-${end} ${bytesOf(sum)}`];
    };
    expect(heard).toEqual([...expected(3, 2, 4), ...expected(7, 4, 8)]);
  });
  it('never hold more vectors than the tree over the own lanes is deep, and one, with the lane that is computed', () => {
    for (const [start, end] of [
      [0, 64],
      [32, 48],
      [5, 6],
      [8, 24],
    ] as const) {
      let held = 0;
      let most = 0;
      const heap = new HeapVectors();
      const counting = {
        floats: (length: number) => ((most = Math.max(most, ++held)), heap.floats(length)),
        release: (vector: Float32Array) => (held--, heap.release(vector)),
      };
      const sums = new LaneSums(4, { start, end }, 64, undefined, counting);
      for (let lane = start; lane < end; lane++) {
        const node = addLane(sums, lane, laneVector(lane, 4));
        if (node) sums.recycle(node);
      }
      expect(held).toBe(0);
      expect(most).toBeLessThanOrEqual(Math.log2(end - start) + 1);
    }
  });
  it('refuse lanes out of order, missing lanes and vectors of another length', () => {
    const sums = new LaneSums(2, { start: 4, end: 6 }, 8);
    expect(() => sums.add(5, new Float32Array(2))).toThrow('lane 5: expected lane 4');
    expect(() => sums.add(4, new Float32Array(3))).toThrow('lane 4: expected 2 elements, got 3');
    sums.add(4, new Float32Array(2));
    expect(() => sums.add(4, new Float32Array(2))).toThrow('lane 4: expected lane 5');
    sums.add(5, new Float32Array(2));
    expect(() => sums.add(6, new Float32Array(2))).toThrow('lane 6: expected lane 4 of 4-6, in order');
  });
  it('refuse to end while nodes are missing, and nodes that overlap or are none', () => {
    const owner = new NodeSums(1, 8);
    const one = new Float32Array(1);
    expect(() => owner.finish()).toThrow('have none');
    owner.add({ start: 4, end: 8 }, one);
    owner.add({ start: 0, end: 2 }, one);
    expect(() => owner.finish()).toThrow('nodes are missing, have 4-8, 0-2');
    expect(() => owner.add({ start: 1, end: 2 }, one)).toThrow('overlaps 0-2');
    expect(() => owner.add({ start: 0, end: 8 }, one)).toThrow('overlaps');
    expect(() => owner.add({ start: 1, end: 3 }, one)).toThrow('expected a node of the tree');
    owner.forget();
    owner.add({ start: 0, end: 8 }, Float32Array.of(7));
    expect([...owner.finish()]).toEqual([7]);
  });
});
