import fc from 'fast-check';
import type { Minimize } from '../../contracts/goal';
import type { ObservationInput } from '../../contracts/scheduling';
import { digits, prices } from './machine';

const observation = fc
  .record({
    workers: fc.constantFrom(1, 2, 3, 4, 8, 16),
    memoryMib: fc.constantFrom(256, 512, 1_024, 1_769, 3_538),
    steps: fc.integer({ min: 1, max: 200 }),
    stepMs: fc.double({ min: 0.5, max: 20_000, noNaN: true }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    cold: fc.boolean(),
    orchestrationMs: fc.double({ min: 0, max: 500, noNaN: true }),
    extra: fc.double({ min: 1, max: 2, noNaN: true }),
    round: fc.integer({ min: 0, max: 50 }),
    split: fc.boolean(),
  })
  .map(({ workers, memoryMib, steps, stepMs, share, cold, orchestrationMs, extra, round, split }): ObservationInput => {
    const inFunctionMs = steps * stepMs * extra + 30;
    const rest = stepMs * (1 - share);
    return {
      allocation: { workers, memoryMib, steps },
      round,
      steps,
      wallMs: inFunctionMs + orchestrationMs,
      stepMs,
      ...(split ? { parts: { computeMs: stepMs * share, uploadMs: rest / 4, waitMs: rest / 2, downloadMs: rest / 4, reduceMs: 0, otherMs: 0 } } : {}),
      initMs: cold ? 200 : 0,
      orchestrationMs,
      billedNanoUsd: Math.ceil(workers * (memoryMib / 1_024) * inFunctionMs * prices.usdPerGbSecond * 1e6),
      peakRssMib: 150,
      cold,
    };
  });

/** Whatever the scheduler may be asked. */
export const request = fc
  .record({
    minimize: fc.constantFrom<Minimize>('cost', 'time', { usdPerHour: 0.05 }, { usdPerHour: 50 }),
    whole: fc.boolean(),
    budgetNanoUsd: fc.option(fc.integer({ min: 1, max: 1_000_000_000 }), { nil: undefined }),
    deadlineAtMs: fc.option(fc.integer({ min: 1, max: 10_000_000 }), { nil: undefined }),
    spentNanoUsd: fc.integer({ min: 0, max: 500_000_000 }),
    reservedNanoUsd: fc.integer({ min: 0, max: 10_000_000 }),
    remainingSteps: fc.integer({ min: 0, max: 20_000 }),
    stepsDone: fc.integer({ min: 0, max: 1_000 }),
    observations: fc.array(observation, { maxLength: 8 }),
    lanes: fc.constantFrom(1, 2, 4, 16, 64, 1_024),
    maxWorkers: fc.integer({ min: 1, max: 2_000 }),
    concurrency: fc.integer({ min: 1, max: 1_000 }),
    totalCores: fc.constantFrom(1, 2, 3, 8, Infinity),
    memoryMib: fc.option(fc.constantFrom(256, 700, 1_769, 3_008), { nil: undefined }),
    phase: fc.constantFrom('profile' as const, 'run' as const),
    probesLeft: fc.integer({ min: 0, max: 5 }),
    workersAbove: fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }),
    memoryMibBelow: fc.option(fc.integer({ min: 128, max: 2_000 }), { nil: undefined }),
    forwardFlopsPerSample: fc.double({ min: 0, max: 1e10, noNaN: true }),
    paramCount: fc.integer({ min: 1, max: 5e7 }),
  })
  .map(
    ({
      minimize,
      whole,
      budgetNanoUsd,
      deadlineAtMs,
      maxWorkers,
      concurrency,
      totalCores,
      memoryMib,
      workersAbove,
      memoryMibBelow,
      forwardFlopsPerSample,
      paramCount,
      ...rest
    }) =>
      digits({
        ...rest,
        batchSize: 1_024,
        ...(whole ? { wholeGoal: { minimize, budgetNanoUsd: 200_000_000, deadlineAtMs: 5_000_000 } } : {}),
        goal: { minimize, ...(budgetNanoUsd === undefined ? {} : { budgetNanoUsd }), ...(deadlineAtMs === undefined ? {} : { deadlineAtMs }) },
        bounds: { maxWorkers, concurrency, totalCores, minMemoryMib: 128, maxMemoryMib: 10_240, ...(memoryMib === undefined ? {} : { memoryMib }) },
        forbidden: { ...(workersAbove === undefined ? {} : { workersAbove }), ...(memoryMibBelow === undefined ? {} : { memoryMibBelow }) },
        program: { paramCount, bufferCount: 0, peakMemoryMib: 150, forwardFlopsPerSample },
      }),
  );
