import fc from 'fast-check';
import { decideNext } from '../../scheduler';
import { request } from './any-request';
import { digits, playRound, prices, twoCores } from './machine';

describe('decideNext, whatever it is asked', () => {
  it('never passes a bound, a lane, a core, a forbidden size or the last step', () => {
    fc.assert(
      fc.property(request, (input) => {
        const decision = decideNext(input);
        if (decision.kind !== 'run' && decision.kind !== 'probe') return;
        const { workers, memoryMib, steps } = decision.allocation;
        const { bounds, forbidden } = input;
        expect(workers).toBeLessThanOrEqual(Math.min(bounds.maxWorkers, bounds.concurrency, input.lanes, forbidden.workersAbove ?? Infinity));
        expect(memoryMib).toBeGreaterThanOrEqual(Math.max(bounds.minMemoryMib, forbidden.memoryMibBelow ?? 0));
        expect(memoryMib).toBeLessThanOrEqual(bounds.maxMemoryMib);
        if (bounds.memoryMib !== undefined) expect(memoryMib).toBe(bounds.memoryMib);
        expect(workers === 1 || workers * Math.min(1, memoryMib / 1_769) <= bounds.totalCores + 1e-9).toBe(true);
        expect(steps).toBeGreaterThanOrEqual(1);
        expect(steps).toBeLessThanOrEqual(input.remainingSteps);
      }),
      { numRuns: 100, seed: 7 },
    );
  });

  it('never starts a round whose p95 cost does not fit what is left of the budget', () => {
    fc.assert(
      fc.property(request, (input) => {
        const decision = decideNext(input);
        if (decision.kind !== 'run' && decision.kind !== 'probe') return;
        const rest = (input.goal.budgetNanoUsd ?? Infinity) - input.spentNanoUsd - input.reservedNanoUsd;
        expect(decision.prediction.roundNanoUsdP95).toBeLessThanOrEqual(rest);
      }),
      { numRuns: 150, seed: 8 },
    );
  });

  it('lets functions run no longer than what is left of the budget pays for, however slow they become', () => {
    fc.assert(
      fc.property(request, (input) => {
        const decision = decideNext(input);
        if (decision.kind !== 'run' && decision.kind !== 'probe') return;
        const rest = (input.goal.budgetNanoUsd ?? Infinity) - input.spentNanoUsd - input.reservedNanoUsd;
        if (rest === Infinity) return expect(decision.spendLimitMs).toBeUndefined();
        const { workers, memoryMib } = decision.allocation;
        const nanoUsdPerMs = workers * (memoryMib / 1_024) * input.prices.usdPerGbSecond * 1e6;
        expect(decision.spendLimitMs! * nanoUsdPerMs + workers * input.prices.usdPerRequest * 1e9).toBeLessThanOrEqual(rest);
        // Long enough for a round that costs what it may.
        expect(decision.spendLimitMs).toBeGreaterThan(decision.prediction.stepMs);
      }),
      { numRuns: 150, seed: 11 },
    );
  });

  it('decides the same for the same input, and leaves its input as it was', () => {
    fc.assert(
      fc.property(request, (input) => {
        const before = structuredClone(input);
        const decision = decideNext(input);
        expect(decideNext(structuredClone(input))).toEqual(decision);
        expect(input).toEqual(before);
      }),
      { numRuns: 50, seed: 9 },
    );
  });

  it('gives a reason with numbers for every decision', () => {
    fc.assert(
      fc.property(request, (input) => {
        const { kind, reason } = decideNext(input);
        expect(reason.endsWith('.')).toBe(true);
        expect(reason).not.toMatch(/NaN|undefined|Infinity/);
        if (kind !== 'finish') expect(reason).toMatch(/\d/);
      }),
      { numRuns: 80, seed: 10 },
    );
  });

  it.each([
    [
      'an observation with NaN',
      { observations: [{ ...playRound({ workers: 1, memoryMib: 1_769, steps: 10 }, twoCores, { round: 0, seed: 1, cold: false }), stepMs: NaN }] },
    ],
    ['a missing price', { prices: { ...prices, usdPerGbSecond: undefined as unknown as number } }],
    ['a budget below zero', { goal: { minimize: 'time' as const, budgetNanoUsd: -1 } }],
  ])('refuses %s with one clear error', (_what, change) => {
    expect(() => decideNext(digits(change))).toThrow(/scheduler’s input is not valid/);
  });

  it('decides in milliseconds with 20 observations and 200 candidates', () => {
    const observations = Array.from({ length: 20 }, (_, round) =>
      playRound({ workers: [1, 2, 4, 8, 16][round % 5]!, memoryMib: [1_769, 3_538][round % 2]!, steps: 50 }, twoCores, {
        round,
        seed: 1,
        cold: round < 5,
      }),
    );
    const input = digits({
      observations,
      lanes: 1_024,
      batchSize: 4_096,
      bounds: { maxWorkers: 1_024, minMemoryMib: 128, maxMemoryMib: 10_240, concurrency: 1_000, totalCores: Infinity },
    });
    for (let warmUp = 0; warmUp < 20; warmUp += 1) decideNext(input);
    // CPU time: a busy machine's waiting is not the scheduler's.
    const times = Array.from({ length: 50 }, () => {
      const before = process.cpuUsage();
      decideNext(input);
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1_000;
    }).sort((a, b) => a - b);
    expect(times[25]).toBeLessThan(50);
  });
});
