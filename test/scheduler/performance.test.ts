import type { Observation } from '../../contracts/scheduling';
import { fitPerformance } from '../../scheduler/model/performance';
import type { Workload } from '../../scheduler/model/workload';

const workload: Workload = {
  ...{ paramCount: 10_000_000, bufferCount: 0, batchSize: 256, lanes: 256, sampleMs: 100, parallelShare: 0.01, totalCores: Infinity },
  ...{ exchange: 's3', topology: 'scatter-reduce' },
};
const seen = (workers: number, computeMs: number, syncMs: number): Observation => ({
  allocation: { workers, memoryMib: 1_769, steps: 8 },
  ...{ round: 0, steps: 8, wallMs: 8 * (computeMs + syncMs), stepMs: computeMs + syncMs, initMs: 0, orchestrationMs: 60, merged: 1 },
  parts: { computeMs, uploadMs: syncMs, waitMs: 0, downloadMs: 0, reduceMs: 0, otherMs: 0 },
  ...{ billedNanoUsd: 1e6, peakRssMib: 500, cold: false, failures: { outOfMemory: 0, timedOut: 0 } },
});
const syncOf16 = (observations: readonly Observation[]) => fitPerformance(workload, observations)({ workers: 16, memoryMib: 1_769 }).syncMs;

describe('the model of a step', () => {
  it('does not take a lone worker’s 50 ms beside 25 s of computing for a store that is slower than expected', () => {
    expect(syncOf16([seen(1, 25_600, 50)]) / syncOf16([])).toBeCloseTo(1, 1);
  });

  it('believes eight workers that wait ten times as long as expected', () => {
    const expectedMs = fitPerformance(workload, [])({ workers: 8, memoryMib: 1_769 }).syncMs;
    expect(syncOf16([seen(8, 3_200, 10 * expectedMs)]) / syncOf16([])).toBeGreaterThan(5);
  });
});
