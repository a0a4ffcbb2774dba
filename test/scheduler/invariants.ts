import fc from 'fast-check';
import type { SimulatedRun, SimulationOptions } from '../../scheduler/simulator';

/** Whatever can go wrong, alone or together. */
export const anyFaults = fc.record({
  computeSd: fc.constantFrom(0, 0.1),
  stragglers: fc.constantFrom(0, 0.05),
  slowInstances: fc.constantFrom(0, 0.2),
  bandwidthSd: fc.constantFrom(0, 0.2),
  crashesPerHour: fc.constantFrom(0, 5, 40),
  throttled: fc.constantFrom(0, 0.3),
  duplicates: fc.constantFrom(0, 0.2),
  lostValues: fc.constantFrom(0, 0.05),
  slowStorePerHour: fc.constantFrom(0, 20),
  slowStoreFactor: fc.constant(3),
});

/** The bill is the sum of the invocations, none of which overlap or pass the limit; every sample of every step is merged once. */
export function expectInvariants(run: SimulatedRun, { world, job }: SimulationOptions): void {
  const { workers: kind } = world;
  let nanoUsd = 0;
  const lastEndMs = new Map<number, number>();
  for (const { worker, startMs, endMs, memoryMib, ending } of run.invocations.list()) {
    expect(endMs - startMs).toBeLessThanOrEqual(kind.limitMs);
    expect(endMs).toBeGreaterThanOrEqual(startMs);
    // Duplicates end beside the invocation that has their place; all others of a worker follow each other.
    if (ending !== 'superseded') {
      if (startMs < (lastEndMs.get(worker) ?? 0)) throw new Error(`two invocations of worker ${worker} at once`);
      lastEndMs.set(worker, endMs);
    }
    const billedMs = Math.max(kind.leastBilledMs, Math.ceil(endMs - startMs));
    nanoUsd += Math.ceil(billedMs * kind.usdPerMs(memoryMib) * 1e9 - 1e-6) + kind.usdPerStart * 1e9;
  }
  expect(run.costNanoUsd.functions + run.costNanoUsd.requests).toBeCloseTo(nanoUsd, 3);
  if (run.outcome === 'failed') return; // one worker crashed six times in one round
  expect(run.outcome).toBe('completed');
  expect(run.steps).toBe(job.totalSteps);
  run.rounds.forEach((round, i) => expect(round.firstStep).toBe(i === 0 ? 0 : run.rounds[i - 1]!.firstStep + run.rounds[i - 1]!.steps));
  const samples = run.rounds.reduce((sum, { steps, batchSize }) => sum + steps * batchSize, 0);
  expect(run.counts.mergedSamples).toBeCloseTo(samples, 3);
}
