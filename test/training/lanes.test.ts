import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { laneBatches, lanePartitions, lanePosition, laneSamples, noiseBits } from '../../training/lanes';
import { below, bitsAt, hash32, permutation, streamOf, uniformBits } from '../../training/random';
import { add, divide } from '../../training/kernels';
import { treeNodes } from '../../contracts/tree-nodes';
import { NodeSums } from '../../training/tree';
import { blockElements, cutLanes, cutRanges } from '../../contracts/cut';
import { clipFactor, globalNorm, rangeNorms } from '../../training/norms';
import { learningRateAt } from '../../training/schedules';
import { blendBuffers, slotCount, update } from '../../training/optimizers';
import type { Optimizer } from '../../contracts/optimizer';
import { phaseAt, stepsForSamples, totalStepsOf } from '../../contracts/batch-size';
import type { Schedule } from '../../contracts/schedule';

const fixtures = path.join(__dirname, 'fixtures');
const span = (start: number, end: number) => ({ start, end });
const pair = ({ start, end }: { start: number; end: number }) => [start, end];
/** The test numbers of check_lanes.py: float32 in [-1, 1). */
const signed = (key: number[], count: number) => Float32Array.from({ length: count }, (_, i) => (uniformBits(key, i) - 2 ** 31) / 2 ** 31);

/* eslint-disable @typescript-eslint/no-explicit-any -- inputs come from JSON; a wrong shape fails the comparison */
const compute: Record<string, (given: any) => unknown> = {
  hash32: ({ words }) => hash32(...words),
  uniformBits: ({ key, counter }) => uniformBits(key, counter),
  permutation: ({ length, key }) => [...permutation(length, ...key)],
  laneBatches: ({ batchSize, lanes }) => laneBatches(batchSize, lanes),
  lanePartitions: ({ samples, lanes }) => lanePartitions(samples, lanes).map(pair),
  laneSamples: ({ partition, step, batch, ...draw }) => [
    ...laneSamples({ ...draw, batch, position: step * batch, partition: span(partition[0], partition[1]) }),
  ],
  noise: (draw) => [...noiseBits(draw)],
  treeNodes: ({ start, end, total }) => treeNodes(span(start, end), total).map(pair),
  treeSum: ({ lanes, length, samples }) => {
    const sums = new NodeSums(length, lanes);
    for (let lane = 0; lane < lanes; lane++) sums.add(span(lane, lane + 1), signed([98, lane], length));
    const mean = sums.finish();
    divide(mean, mean, samples);
    return [...mean];
  },
  blockElements: ({ paramCount }) => blockElements(paramCount),
  cutRanges: (given) => cutRanges(given.paramCount, given.nodes, given.blockElements),
  cutLanes: ({ lanes, workers }) => cutLanes(lanes, workers),
  rangeNorms: (given) => [
    ...rangeNorms(
      signed([97], given.paramCount).subarray(given.start, given.end),
      span(given.start, given.end),
      given.blockElements,
      given.paramCount,
    ),
  ],
  globalNorm: ({ paramCount, blockElements: elements }) => {
    const range = span(0, paramCount);
    return globalNorm([{ range, values: rangeNorms(signed([97], paramCount), range, elements, paramCount) }], elements, paramCount);
  },
  clipFactor: ({ norm, clipNorm }) => clipFactor(norm, clipNorm),
  learningRate: ({ learningRate, schedule, step, totalSteps }) =>
    learningRateAt({ kind: 'sgd', learningRate } as Optimizer, schedule as Schedule, step, totalSteps),
  optimizer: ({ optimizer, count, steps }) => {
    const params = signed([99, 0], count);
    const slots = new Float32Array(count * slotCount(optimizer));
    for (let step = 0; step < steps; step++)
      update(optimizer, { params, gradient: signed([99, 1, step], count), slots, step, learningRate: optimizer.learningRate });
    return { params: [...params], slots: [...slots] };
  },
  blend: ({ count, momentum }) => {
    const running = signed([96, 0], count);
    blendBuffers(running, signed([96, 1], count), momentum);
    return [...running];
  },
};
/* eslint-enable @typescript-eslint/no-explicit-any */

describe('the test vectors of docs/lanes.md', () => {
  const vectors = JSON.parse(readFileSync(path.join(fixtures, 'lanes-vectors.json'), 'utf8')) as Record<string, { in: unknown; out: unknown }[]>;

  it('cover every part that this file can compute', () => {
    expect(Object.keys(vectors).sort()).toEqual(Object.keys(compute).sort());
  });
  it.each(Object.keys(vectors))('are met bit for bit: %s', (name) => {
    for (const { in: given, out } of vectors[name]!) expect({ given, out: compute[name]!(given) }).toEqual({ given, out });
  });

  const python = spawnSync('python3', ['--version']).status === 0;
  (python ? it : it.skip)('are recomputed by an independent program in Python (needs python3 on PATH)', () => {
    const { status, stdout } = spawnSync('python3', [path.join(fixtures, 'check_lanes.py')], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/^\d+ vectors agree\n$/) });
  });
});

describe('the generator', () => {
  it('gives a fair index below n, in exact arithmetic, up to n = 2^32', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 32 }), fc.integer({ min: 0, max: 2 ** 32 - 1 }), (n, bits) => {
        expect(below(n, bits)).toBe(Number((BigInt(bits) * BigInt(n)) >> 32n));
      }),
    );
  });
  it('spreads its bits evenly and changes half of them when one bit of key or counter changes', () => {
    const ones = new Array<number>(32).fill(0);
    let flipped = 0;
    const count = 20_000;
    for (let i = 0; i < count; i++) {
      const bits = uniformBits([5, i & 0xff], i);
      for (let bit = 0; bit < 32; bit++) ones[bit]! += (bits >>> bit) & 1;
      let changed = bits ^ uniformBits([5, i & 0xff], i ^ (1 << (i % 32)));
      for (; changed !== 0; changed &= changed - 1) flipped++;
    }
    for (const seen of ones) expect(Math.abs(seen / count - 0.5)).toBeLessThan(0.02);
    expect(Math.abs(flipped / (count * 32) - 0.5)).toBeLessThan(0.01);
  });
  it('gives neighbouring keys unrelated streams', () => {
    const a = streamOf(2, 1, 0, 0, 0);
    const b = streamOf(2, 1, 0, 1, 0);
    let same = 0;
    for (let i = 0; i < 32_000; i++) if ((bitsAt(a, i) & 1) === (bitsAt(b, i) & 1)) same++;
    expect(Math.abs(same / 32_000 - 0.5)).toBeLessThan(0.02);
  });
});

const lanesArbitrary = fc.integer({ min: 0, max: 6 }).map((power) => 2 ** power);

describe('lanes', () => {
  it('share out a batch completely, with sizes that differ by at most one', () => {
    fc.assert(
      fc.property(lanesArbitrary, fc.integer({ min: 0, max: 1_000 }), (lanes, more) => {
        const sizes = laneBatches(lanes + more, lanes);
        expect(sizes).toHaveLength(lanes);
        expect(sizes.reduce((a, b) => a + b)).toBe(lanes + more);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      }),
    );
  });
  it('share out a data set without gap or overlap', () => {
    fc.assert(
      fc.property(lanesArbitrary, fc.integer({ min: 0, max: 1_000 }), (lanes, more) => {
        const partitions = lanePartitions(lanes + more, lanes);
        let reached = 0;
        for (const { start, end } of partitions) {
          expect(start).toBe(reached);
          expect(end).toBeGreaterThan(start);
          reached = end;
        }
        expect(reached).toBe(lanes + more);
      }),
    );
  });
  it('see every sample of their partition exactly once in each epoch, whatever the micro-batch', () => {
    fc.assert(
      fc.property(
        fc.nat(2 ** 32 - 1),
        fc.nat(63),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 90 }),
        fc.nat(1_000),
        (seed, lane, length, batch, start) => {
          const partition = span(start, start + length);
          const drawn: number[] = [];
          for (let step = 0; drawn.length < 3 * length; step++) drawn.push(...laneSamples({ seed, lane, partition, batch, position: step * batch }));
          const all = Array.from({ length }, (_, i) => start + i);
          for (let epoch = 0; epoch < 3; epoch++) expect(drawn.slice(epoch * length, (epoch + 1) * length).sort((a, b) => a - b)).toEqual(all);
        },
      ),
      { numRuns: 60 },
    );
  });
  it('leave no sample out and draw none twice in an epoch where the batch size changes on the way', () => {
    const size = fc.integer({ min: 4, max: 40 });
    fc.assert(
      fc.property(
        size,
        size,
        size,
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 9 }),
        fc.nat(3),
        (first, second, third, at, more, lane) => {
          const changes = [
            { fromStep: at, batchSize: second },
            { fromStep: at + more, batchSize: third },
          ];
          const batches = { batchSize: first, batchSchedule: changes };
          const drawn: number[] = [];
          for (let step = 0; drawn.length < 3 * 17; step++) {
            const batch = laneBatches(phaseAt(batches, step).batchSize, 4)[lane]!;
            drawn.push(...laneSamples({ seed: 5, lane, partition: span(0, 17), batch, position: lanePosition(batches, 4, lane, step) }));
          }
          const all = Array.from({ length: 17 }, (_, i) => i);
          for (let epoch = 0; epoch < 3; epoch++) expect(drawn.slice(epoch * 17, (epoch + 1) * 17).sort((a, b) => a - b)).toEqual(all);
        },
      ),
      { numRuns: 60 },
    );
  });
  it('make an epoch of as many steps as its samples need', () => {
    const batches = { batchSize: 10, batchSchedule: [{ fromStep: 4, batchSize: 40 }] };
    expect([39, 40, 41, 80, 81].map((samples) => stepsForSamples(batches, samples))).toEqual([4, 4, 5, 5, 6]);
    expect(totalStepsOf({ ...batches, epochs: 2 }, 100)).toBe(8);
  });
  it('draw the same samples when steps are asked for out of order', () => {
    const draw = (step: number) => [...laneSamples({ seed: 4, lane: 2, partition: span(10, 47), batch: 8, position: step * 8 })];
    const forwards = [0, 1, 2, 3, 4, 5, 6, 7].map(draw);
    expect([7, 3, 0, 6, 1, 5, 2, 4].map(draw)).toEqual([7, 3, 0, 6, 1, 5, 2, 4].map((step) => forwards[step]));
  });
  it('shuffle each epoch, lane and seed differently', () => {
    const epoch = (seed: number, lane: number, step: number) =>
      laneSamples({ seed, lane, partition: span(0, 50), batch: 50, position: step * 50 }).join();
    expect(new Set([epoch(1, 0, 0), epoch(1, 0, 1), epoch(1, 1, 0), epoch(2, 0, 0)]).size).toBe(4);
  });
  it('are refused when batch or data are smaller than their number', () => {
    expect(() => laneBatches(15, 16)).toThrow(
      expect.objectContaining({ code: 'InvalidSpec', message: expect.stringContaining('batch of 15 for 16 lanes') }),
    );
    expect(() => lanePartitions(3, 4)).toThrow(
      expect.objectContaining({ code: 'BadData', message: expect.stringContaining('3 samples for 4 lanes') }),
    );
  });
});

describe('dropout masks', () => {
  it('drop the share that was asked for and scale the rest, so that the mean stays one', () => {
    for (const rate of [0.1, 0.25, 0.5, 0.9]) {
      const mask = noiseBits({ seed: 3, step: 5, lane: 1, node: 0, samples: 100, elementsPerSample: 400, rate });
      const dropped = mask.filter((value) => value === 0).length / mask.length;
      expect(Math.abs(dropped - rate)).toBeLessThan(0.01);
      expect(new Set(mask)).toEqual(new Set([0, Math.fround(1 / (1 - rate))]));
    }
  });
  it('are written into a vector that the caller gives, with the same bits', () => {
    const draw = { seed: 3, step: 5, lane: 1, node: 0, samples: 4, elementsPerSample: 9, rate: 0.3 };
    const into = new Float32Array(36).fill(7);
    expect(noiseBits(draw, into)).toBe(into);
    expect([...into]).toEqual([...noiseBits(draw)]);
  });
});

it('adding float32 in float64 and rounding once is the float32 sum', () => {
  fc.assert(
    fc.property(fc.float({ noNaN: true }), fc.float({ noNaN: true }), (a, b) => {
      const out = new Float32Array(1);
      add(out, Float32Array.of(a), Float32Array.of(b));
      expect(out[0]).toBe(Math.fround(Math.fround(a) + Math.fround(b)));
    }),
  );
});
