import fc from 'fast-check';
import type { DecisionRequest, Observation } from '../../contracts/scheduling';
import { decideNext } from '../../scheduler';
import { simulateRun } from '../../scheduler/simulator';
import { expectInvariants } from './invariants';
import { digits } from './machine';
import { simulation } from './simulated-job';

const STEP_MS = 4_000;
const STEPS = 10;
const memoryMib = 1_769;

/** Rounds of steps of 4 s, whose longest one took so many times as long. */
const seen = (workers: number, longest: readonly number[]): Observation[] =>
  longest.map((factor, round) => ({
    allocation: { workers, memoryMib, steps: STEPS },
    ...{ round, batchSize: 256, steps: STEPS, stepMs: STEP_MS, longestStepMs: factor * STEP_MS, wallMs: (STEPS - 1 + factor) * STEP_MS },
    parts: { computeMs: STEP_MS - 100, uploadMs: 50, waitMs: 0, downloadMs: 50, reduceMs: 0, otherMs: 0 },
    ...{ initMs: 0, orchestrationMs: 60, billedNanoUsd: workers * (STEPS - 1 + factor) * STEP_MS * 28.8, peakRssMib: 300, cold: false, merged: 1 },
    failures: { outOfMemory: 0, timedOut: 0 },
  }));
const fixedTo = (workers: number) => ({
  ...{ minWorkers: workers, maxWorkers: workers, memoryMib, minMemoryMib: 128, maxMemoryMib: 10_240 },
  ...{ concurrency: 1_000, totalCores: Infinity },
});
const decide = (workers: number, longest: readonly number[], change: Partial<DecisionRequest> = {}) => {
  const decision = decideNext(
    digits({
      goal: { minimize: 'cost' },
      ...{ lanes: 64, batchSize: 256, remainingSteps: 1_000, mostRoundSteps: STEPS, phase: 'run', probesLeft: 0, exchange: 'redis' },
      current: { workers, memoryMib, steps: STEPS },
      observations: seen(workers, longest),
      bounds: fixedTo(workers),
      ...change,
    }),
  );
  if (decision.kind !== 'run') throw new Error(decision.reason);
  return decision;
};
const stalls = [1.1, 6, 1.1, 8, 5];
const mild = [1.1, 3.5, 1.1, 3.2, 3];

describe('a second copy of a straggler', () => {
  it('pays for itself where many wait for one, and the reason says what it saves', () => {
    const { hedgeAfterMs, reason, prediction } = decide(32, stalls);
    expect(hedgeAfterMs).toBeGreaterThanOrEqual(prediction.stepMs / 2);
    expect(reason).toMatch(/; a worker that others wait for gets a second copy after [\d.]+ s, which saves about [\d.]+ s a round and \$[\d.]+\.$/);
  });

  it.each([
    ['nobody waits', decide(1, stalls)],
    ['no step was ever long', decide(32, [1.1, 1.2, 1.1, 1.3, 1.1])],
    ['two wait for one, and cost is what counts', decide(2, mild)],
    ['too few rounds were seen', decide(32, [6, 8])],
    ['no slot is free', decide(32, stalls, { bounds: { minWorkers: 32, maxWorkers: 32, memoryMib, minMemoryMib: 128, maxMemoryMib: 10_240, concurrency: 32, totalCores: Infinity } })], // prettier-ignore
    ['no core is free', decide(32, stalls, { bounds: { minWorkers: 32, maxWorkers: 32, memoryMib, minMemoryMib: 128, maxMemoryMib: 10_240, concurrency: 99, totalCores: 32 } })], // prettier-ignore
  ])('is not started where %s', (_why, decision) => {
    expect(decision.hedgeAfterMs).toBeUndefined();
    expect(decision.reason).not.toMatch(/second copy/);
  });

  it('is started for time alone, unless the budget binds', () => {
    const fast = decide(2, mild, { goal: { minimize: 'time' } });
    expect(fast.hedgeAfterMs).toBeDefined();
    expect(fast.reason).toMatch(/saves about .* a round for \$/);
    const costs = fast.prediction.remainingNanoUsd.p95;
    expect(decide(2, mild, { goal: { minimize: 'time', budgetNanoUsd: 1.02 * costs } }).hedgeAfterMs).toBeUndefined();
    expect(decide(2, mild, { goal: { minimize: 'time', budgetNanoUsd: 4 * costs } }).hedgeAfterMs).toBeDefined();
  });

  it('is started at any goal that a deadline presses on', () => {
    const { prediction } = decide(2, mild);
    const within = (factor: number) => decide(2, mild, { nowMs: 0, goal: { minimize: 'cost', deadlineAtMs: factor * prediction.remainingMs.p50 } });
    expect(within(1).hedgeAfterMs).toBeDefined();
    expect(within(3).hedgeAfterMs).toBeUndefined();
  });

  it('is never rarer with more workers, all else alike', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 1, max: 12, noNaN: true }), { minLength: 3, maxLength: 6 }), (longest) => {
        const decided = [2, 8, 32].map((workers) => decide(workers, longest).hedgeAfterMs !== undefined);
        expect(decided).toEqual([...decided].sort((a, b) => Number(a) - Number(b)));
      }),
      { numRuns: 20, seed: 11 },
    );
  });
});

describe('a simulated run', () => {
  /** Steps of 6 s with 32 workers, 25 s with 8: each step of each worker is a straggler, 1.5 to 4 times as long, with this probability. */
  const slowSteps = (workers: number, stragglers: number, hedges: boolean) =>
    simulation({
      faults: { stragglers },
      world: {},
      job: {
        batches: { batchSize: 13_440 },
        totalSteps: 150,
        mostRoundSteps: 10,
        bounds: fixedTo(workers),
      },
      policy: (request) => {
        const decision = decideNext(request);
        return decision.kind === 'run' && !hedges ? { ...decision, hedgeAfterMs: undefined } : decision;
      },
    });

  it('of many workers is faster and cheaper for its copies, each of which is on the bill', () => {
    const options = slowSteps(32, 0.01, true);
    const [hedged, plain] = [simulateRun(options), simulateRun(slowSteps(32, 0.01, false))];
    expectInvariants(hedged, options);
    expect(plain.counts.copies).toBe(0);
    expect(hedged.counts.copies).toBeGreaterThan(3);
    expect(hedged.timeMs).toBeLessThan(0.97 * plain.timeMs);
    expect(hedged.costNanoUsd.total).toBeLessThan(plain.costNanoUsd.total);
    const copies = hedged.invocations.list().filter(({ ending }) => ending === 'superseded');
    expect(copies).toHaveLength(2 * hedged.counts.copies); // and whoever told of the straggler was invoked again
    expect(hedged.rounds.some(({ reason }) => /second copy after/.test(reason))).toBe(true);
  });

  it('without stragglers makes none', () => {
    expect(simulateRun(slowSteps(32, 0, true)).counts.copies).toBe(0);
  });
});
