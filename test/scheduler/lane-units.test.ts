import fc from 'fast-check';
import { mostLanes } from '../../contracts/cut';
import { DecisionInput } from '../../contracts/scheduling';
import { decideNext } from '../../scheduler';
import { candidatesOf } from '../../scheduler/candidates';
import { laneUnitOf } from '../../scheduler/lane-units';
import { trafficOf } from '../../scheduler/model/traffic';
import type { Workload } from '../../scheduler/model/workload';
import { digits } from './machine';

const workload: Workload = {
  ...{ paramCount: 41_000_000, bufferCount: 0, batchSize: 256, lanes: 256, sampleMs: 10, parallelShare: 0.01, totalCores: Infinity },
  ...{ exchange: 's3', topology: 'scatter-reduce' },
};
const at = (workers: number) => ({ workers, memoryMib: 1_769 });

describe('the units in which lanes are cut', () => {
  it('make ten workers move 2.4 times less where moving takes longest', () => {
    const laneUnit = laneUnitOf(workload, at(10));
    expect(laneUnit).toBe(8);
    const busiest = (shape: Workload) => trafficOf(shape, 10).busiestBytes;
    expect(busiest(workload) / busiest({ ...workload, laneUnit })).toBeGreaterThan(2.4);
    expect(mostLanes(256, 10, laneUnit)).toBe(32);
  });
  it('are single lanes where computing takes longest, for powers of two, and for lanes that keep something', () => {
    expect(laneUnitOf({ ...workload, paramCount: 10_000, sampleMs: 500 }, at(10))).toBeUndefined();
    for (const workers of [1, 2, 4, 8, 16, 256]) expect(laneUnitOf(workload, at(workers))).toBeUndefined();
    expect(laneUnitOf({ ...workload, compression: { kind: 'top-k', density: 0.01 } }, at(10))).toBeUndefined();
  });
  it('leave a unit for each worker, and give the busiest at most a third more lanes', () => {
    fc.assert(
      fc.property(
        fc.record({
          lanes: fc.integer({ min: 0, max: 10 }).map((power) => 2 ** power),
          workers: fc.nat({ max: 1_023 }),
          sampleMs: fc.integer({ min: 1, max: 500 }),
        }),
        fc.constantFrom('redis', 's3', 'files'),
        ({ lanes, workers, sampleMs }, exchange) => {
          const n = 1 + (workers % Math.min(lanes, 100));
          const unit = laneUnitOf({ ...workload, lanes, sampleMs, exchange }, at(n)) ?? 1;
          expect(unit * n).toBeLessThanOrEqual(lanes);
          expect(mostLanes(lanes, n, unit)).toBeLessThanOrEqual((4 / 3) * mostLanes(lanes, n));
        },
      ),
      { numRuns: 50 },
    );
  });
  it('stand in the allocations that are planned and chosen from', () => {
    const program = { paramCount: 41_000_000, bufferCount: 0, peakMemoryMib: 900, forwardFlopsPerSample: 8e7 };
    const bounds = { minWorkers: 10, maxWorkers: 10, minMemoryMib: 1_769, maxMemoryMib: 1_769, concurrency: 100, totalCores: Infinity };
    const request = digits({ program, bounds, lanes: 256, batchSize: 256, exchange: 's3' });
    expect(candidatesOf(DecisionInput.parse(request))).toEqual([{ workers: 10, memoryMib: 1_769, laneUnit: 8 }]);
    expect(decideNext(request)).toMatchObject({ allocation: { workers: 10, laneUnit: 8 } });
  });
});
