import fc from 'fast-check';
import type { Minimize } from '../../contracts/goal';
import type { Allocation } from '../../contracts/round';
import type { Decision, DecisionRequest, ObservationInput } from '../../contracts/scheduling';
import { compactObservations, decideNext } from '../../scheduler';
import { digits, playRound, prices, twoCores } from './machine';

const allocationOf = (decision: Decision): Allocation => {
  if (decision.kind !== 'run' && decision.kind !== 'probe') throw new Error(`expected an allocation, got ${decision.kind}: ${decision.reason}`);
  return decision.allocation;
};

/** Plays a whole job on a known machine and returns every decision and the sums. */
function play(start: DecisionRequest, truth = twoCores, seed = 1) {
  let input = start;
  const decisions: Decision[] = [];
  const wallsMs: number[] = [];
  for (let round = 0; round < 400; round += 1) {
    const decision = decideNext(input);
    decisions.push(decision);
    if (decision.kind === 'finish' && input.phase === 'profile' && input.remainingSteps > 0) {
      input = { ...input, phase: 'run' };
      continue;
    }
    if (decision.kind !== 'run' && decision.kind !== 'probe') break;
    const { allocation } = decision;
    const warm = input.current?.workers === allocation.workers && input.current.memoryMib === allocation.memoryMib;
    const seen = playRound(allocation, truth, { round, seed, cold: !warm });
    wallsMs.push(seen.wallMs);
    input = {
      ...input,
      current: allocation,
      observations: compactObservations([...input.observations, seen]),
      nowMs: input.nowMs + seen.wallMs,
      spentNanoUsd: input.spentNanoUsd + seen.billedNanoUsd,
      remainingSteps: input.remainingSteps - seen.steps,
      stepsDone: input.stepsDone + seen.steps,
      probesLeft: Math.max(0, input.probesLeft - (decision.kind === 'probe' ? 1 : 0)),
    };
  }
  return { decisions, wallsMs, end: input };
}

/** A machine whose compute follows the batch. */
const withBatch = (batchSize: number): typeof twoCores => ({ ...twoCores, noise: 0, computeMs: (a) => (twoCores.computeMs(a) * batchSize) / 256 });

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

const request = fc
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

describe('decideNext', () => {
  it('counts a turn for every round that the longest round allows: short steps in short rounds take longer than the steps', () => {
    const free = decideNext(digits({ phase: 'run', probesLeft: 0, remainingSteps: 100_000 }));
    const cut = decideNext(digits({ phase: 'run', probesLeft: 0, remainingSteps: 100_000, mostRoundSteps: 16 }));
    if (free.kind !== 'run' || cut.kind !== 'run') throw new Error('expected runs');
    expect(cut.allocation.steps).toBeLessThanOrEqual(16);
    const roundsMs = (100_000 / 16) * 40;
    expect(cut.prediction.remainingMs.p50).toBeGreaterThan(roundsMs);
    expect(free.prediction.remainingMs.p50).toBeLessThan(cut.prediction.remainingMs.p50);
  });

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

  it('keeps clear of shapes whose first step used up the money of its round, as long as there are others', () => {
    const { workers, memoryMib } = allocationOf(decideNext(digits()));
    expect(allocationOf(decideNext(digits({ forbidden: { tooDear: [{ workers, memoryMib }] } })))).not.toMatchObject({ workers, memoryMib });
    const bounds = { ...digits().bounds, minWorkers: workers, maxWorkers: workers, memoryMib };
    const only = allocationOf(decideNext(digits({ bounds, forbidden: { tooDear: [{ workers, memoryMib }] } })));
    expect(only).toMatchObject({ workers, memoryMib });
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

  it('uses both cores of a machine of two, and no third worker', () => {
    const { decisions } = play(digits({ remainingSteps: 1_000, phase: 'profile' }));
    const runs = decisions.filter((decision) => decision.kind === 'run');
    expect(runs.length).toBeGreaterThan(3);
    for (const decision of runs) expect(allocationOf(decision)).toMatchObject({ workers: 2, memoryMib: 1_769 });
  });

  it('ends exactly at the last step, with rounds of about a second or more', () => {
    const { decisions, wallsMs, end } = play(digits({ remainingSteps: 1_003 }));
    expect(end.remainingSteps).toBe(0);
    expect(end.stepsDone).toBe(1_003);
    expect(decisions.at(-1)).toMatchObject({ kind: 'finish' });
    expect(wallsMs.slice(0, -1).every((wallMs) => wallMs > 700)).toBe(true);
  });

  it('keeps orchestration under 5 % of the time once rounds are measured', () => {
    const { wallsMs } = play(digits({ remainingSteps: 5_000 }));
    const measured = wallsMs.slice(2);
    expect((60 * measured.length) / measured.reduce((sum, wallMs) => sum + wallMs, 0)).toBeLessThan(0.05);
  });

  it('keeps rounds of a slow model under a minute at first and under five minutes later', () => {
    const slow = digits({
      remainingSteps: 100_000,
      goal: { minimize: 'time' },
      program: { paramCount: 25e6, bufferCount: 0, peakMemoryMib: 900, forwardFlopsPerSample: 4e8 },
    });
    const first = decideNext(slow);
    expect(allocationOf(first).steps * (first.kind === 'run' ? first.prediction.stepMs : NaN)).toBeLessThanOrEqual(60_000);
    const { wallsMs } = play(digits({ remainingSteps: 200_000, goal: { minimize: 'time' } }));
    expect(Math.max(...wallsMs)).toBeLessThan(1.3 * 300_000);
  });

  it('stays within a tight budget to the end, and says what more would take', () => {
    for (let seed = 0; seed < 10; seed += 1) {
      const { decisions, end } = play(digits({ remainingSteps: 2_000, goal: { minimize: 'time', budgetNanoUsd: 900_000 } }), twoCores, seed);
      expect(end.spentNanoUsd).toBeLessThanOrEqual(900_000);
      const last = decisions.at(-1)!;
      expect(['budgetExhausted', 'infeasibleGoal', 'finish']).toContain(last.kind);
      if (last.kind === 'budgetExhausted' || last.kind === 'infeasibleGoal') expect(last.nearest.budgetNanoUsd).toBeGreaterThan(900_000);
    }
  });

  it('takes one worker for the least cost, and more when the deadline asks for them', () => {
    const relaxed = play(digits({ remainingSteps: 1_000, goal: { minimize: 'cost', deadlineAtMs: 3_600_000 } }));
    expect(allocationOf(relaxed.decisions.at(-2)!).workers).toBe(1);
    const urgent = play(digits({ remainingSteps: 1_000, goal: { minimize: 'cost', deadlineAtMs: 24_000 } }));
    expect(urgent.decisions.some((d) => d.kind === 'run' && d.allocation.workers === 2)).toBe(true);
    expect(urgent.end.remainingSteps).toBe(0);
    expect(urgent.end.nowMs).toBeLessThan(24_000);
  });

  it('buys more time the more an hour is worth, from the cheapest plan to the fastest', () => {
    const choiceFor = (minimize: Minimize) => {
      const decision = decideNext(digits({ goal: { minimize }, remainingSteps: 50_000, bounds: { ...digits().bounds, totalCores: Infinity } }));
      if (decision.kind !== 'run') throw new Error(decision.reason);
      return { ms: decision.prediction.remainingMs.p50, nanoUsd: decision.prediction.remainingNanoUsd.p50, reason: decision.reason };
    };
    const choices = [1e-6, 0.01, 0.1, 1, 10, 100, 1e6].map((usdPerHour) => choiceFor({ usdPerHour }));
    for (const [i, { ms, nanoUsd }] of choices.entries()) {
      const before = choices[i - 1];
      // Plans within half a percent are a tie, which goes to the faster one.
      if (before) expect(ms).toBeLessThanOrEqual(before.ms * 1.005);
      if (before) expect(nanoUsd).toBeGreaterThanOrEqual(before.nanoUsd * 0.995);
    }
    expect(new Set(choices.map(({ ms }) => ms)).size).toBeGreaterThan(2);
    expect(choices[0]!.nanoUsd).toBeLessThan(choiceFor('cost').nanoUsd * 1.01);
    expect(choices.at(-1)!.ms).toBeLessThan(choiceFor('time').ms * 1.01);
    expect(choices[3]!.reason).toMatch(/an hour counted as \$1\.00/);
  });

  it('says after one probe that a goal is out of reach, and which goal would do', () => {
    const { decisions } = play(digits({ remainingSteps: 5_000, phase: 'profile', wholeGoal: { minimize: 'cost', deadlineAtMs: 5_000 } }));
    expect(decisions.map(({ kind }) => kind)).toEqual(['probe', 'infeasibleGoal']);
    const last = decisions.at(-1)!;
    if (last.kind !== 'infeasibleGoal') throw new Error('unreachable');
    expect(last.nearest.deadlineAtMs).toBeGreaterThan(50_000);
    expect(last.nearest.deadlineAtMs).toBeLessThan(150_000);
  });

  it('takes more memory after a function ran out of it, and gives up where the platform has no more', () => {
    const small = decideNext(digits({ forbidden: { memoryMibBelow: 2_000 } }));
    expect(allocationOf(small).memoryMib).toBeGreaterThanOrEqual(2_000);
    const none = decideNext(digits({ forbidden: { memoryMibBelow: 20_000 } }));
    expect(none).toMatchObject({ kind: 'infeasibleGoal', reason: expect.stringContaining('20,000 MiB') });
  });

  it('keeps clear of shapes that did not finish one step within a function’s time limit, and gives up where none is left', () => {
    const first = allocationOf(decideNext(digits()));
    const tooSlow = [{ workers: first.workers, memoryMib: first.memoryMib }];
    const next = allocationOf(decideNext(digits({ forbidden: { tooSlow } })));
    expect(next.workers > first.workers || next.memoryMib > first.memoryMib).toBe(true);
    const none = decideNext(digits({ forbidden: { tooSlow: [{ workers: 16, memoryMib: 10_240 }] } }));
    expect(none).toMatchObject({ kind: 'infeasibleGoal', reason: expect.stringContaining('did not finish one step') });
  });

  it('looks briefly where nothing was measured: counted operations may be wrong by orders of magnitude', () => {
    const fresh = digits({ phase: 'profile', remainingSteps: 100_000, program: { ...digits().program, forwardFlopsPerSample: 100 } });
    expect(allocationOf(decideNext(fresh)).steps).toBeLessThanOrEqual(64);
    const measured = { ...fresh, program: { ...fresh.program, gradientMsPerSample: 0.001 } };
    expect(allocationOf(decideNext(measured)).steps).toBeGreaterThan(64);
  });

  it('stops when the deadline has passed', () => {
    expect(decideNext(digits({ nowMs: 600_000 }))).toMatchObject({ kind: 'deadlineReached' });
  });

  it('spends at most twice what was accepted, whatever slows it down', () => {
    const accepted = { totalNanoUsdP95: 400_000, finishAtMsP95: 60_000 };
    const shocked = { ...twoCores, computeMs: (a: Allocation) => 8 * twoCores.computeMs(a) };
    const { end, decisions } = play(digits({ remainingSteps: 5_000, goal: { minimize: 'time', deadlineAtMs: 900_000 }, accepted }), shocked);
    expect(end.spentNanoUsd).toBeLessThanOrEqual(800_000);
    expect(decisions.at(-1)).toMatchObject({ kind: 'infeasibleGoal', reason: expect.stringContaining('Set the goal anew') });
  });

  it('does not flutter: ten noisy seeds make at most one change of allocation each', () => {
    for (let seed = 0; seed < 10; seed += 1) {
      const { decisions } = play(digits({ remainingSteps: 2_000 }), { ...twoCores, noise: 0.1 }, seed);
      const shapes = decisions.flatMap((decision) =>
        decision.kind === 'run' ? [`${decision.allocation.workers}x${decision.allocation.memoryMib}`] : [],
      );
      expect(shapes.filter((shape, i) => i > 0 && shape !== shapes[i - 1]).length).toBeLessThanOrEqual(1);
    }
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

describe('compactObservations', () => {
  it('stays under 16 KB however many rounds there were, and keeps the newest whole', () => {
    const long = Array.from({ length: 2_000 }, (_, round) =>
      playRound({ workers: 1 + (round % 40), memoryMib: 128 + (round % 97), steps: 50 }, twoCores, { round, seed: 3, cold: round % 7 === 0 }),
    );
    const compact = compactObservations(long);
    expect(JSON.stringify(compact).length).toBeLessThanOrEqual(16_384);
    expect(compact.at(-1)).toMatchObject({ round: 1_999, merged: 1 });
  });

  it('merges step by step as it would at once', () => {
    const rounds = Array.from({ length: 60 }, (_, round) =>
      playRound({ workers: 2, memoryMib: 1_769, steps: 50 }, twoCores, { round, seed: 3, cold: false }),
    );
    const stepwise = rounds.reduce<ObservationInput[]>((list, each) => compactObservations([...list, each]), []);
    const atOnce = compactObservations(rounds);
    expect(stepwise.reduce((sum, each) => sum + (each.merged ?? 1), 0)).toBe(60);
    expect(atOnce.reduce((sum, each) => sum + each.merged, 0)).toBe(60);
    expect(stepwise[0]!.stepMs).toBeCloseTo(atOnce[0]!.stepMs, 1);
  });
});

describe('an announced change of the batch size', () => {
  const rounds = [1, 2, 2, 2].map((workers, round) => ({
    ...playRound({ workers, memoryMib: 1_769, steps: 40 }, withBatch(256), { round, seed: 1, cold: false }),
    batchSize: 256,
  }));
  const current = rounds.at(-1)!.allocation;
  const stepMs = (batchSize: number) => withBatch(batchSize).computeMs(current) + twoCores.syncMs(current);
  const input = digits({ observations: rounds, current, remainingSteps: 400, stepsDone: 160, goal: { minimize: 'time' } });
  const predicted = (request: DecisionRequest) => {
    const decision = decideNext(request);
    if (decision.kind !== 'run') throw new Error(decision.reason);
    return decision;
  };

  it('is predicted without a probe: another size is new features for what was learnt', () => {
    const decision = predicted({ ...input, batchSize: 1_024 });
    expect(decision.allocation.workers).toBe(2);
    expect(Math.abs(decision.prediction.stepMs / stepMs(1_024) - 1)).toBeLessThan(0.15);
  });

  it('is planned for before it comes: the rest is as long as its phases together', () => {
    const later = predicted({ ...input, laterSteps: [{ batchSize: 1_024, steps: 300 }] });
    const truthMs = 100 * stepMs(256) + 300 * stepMs(1_024);
    expect(Math.abs(later.prediction.remainingMs.p50 / truthMs - 1)).toBeLessThan(0.25);
    expect(later.prediction.remainingMs.p50).toBeGreaterThan(2 * predicted(input).prediction.remainingMs.p50);
  });

  describe('that suits another allocation', () => {
    // Small steps wait for the barrier more than two workers save; large ones do not.
    const barrier: typeof twoCores = { ...withBatch(256), syncMs: ({ workers }) => (workers > 1 ? 20 : 1) };
    const large = (batchSize: number): typeof twoCores => ({ ...barrier, computeMs: withBatch(batchSize).computeMs });
    const seen = [1, 2, 1, 2].map((workers, round) => ({
      ...playRound({ workers, memoryMib: 1_769, steps: 40 }, barrier, { round, seed: 1, cold: false }),
      batchSize: 256,
    }));
    const alone = { workers: 1, memoryMib: 1_769, steps: 40 };
    const before = digits({ observations: seen, current: alone, remainingSteps: 4_000, stepsDone: 160, goal: { minimize: 'time' } });
    const schedule = { ...before, laterSteps: [{ batchSize: 4_096, steps: 2_000 }] };

    it('is planned with a change there, not with one allocation for both sizes', () => {
      const decision = predicted(schedule);
      expect(decision.allocation.workers).toBe(1);
      const stepMs = (truth: typeof twoCores, workers: number) => truth.computeMs({ ...alone, workers }) + truth.syncMs({ ...alone, workers });
      const truthMs = 2_000 * (stepMs(barrier, 1) + stepMs(large(4_096), 2));
      expect(Math.abs(decision.prediction.remainingMs.p50 / truthMs - 1)).toBeLessThan(0.25);
    });

    it('changes there even when the changes for gain are used up', () => {
      const there = { ...before, batchSize: 4_096, remainingSteps: 2_000, switches: 8 };
      expect(predicted(there).allocation.workers).toBe(2);
    });

    it('takes steps of another size for no noise', () => {
      const sdOf = ({ prediction: { remainingMs } }: ReturnType<typeof predicted>) => Math.log(remainingMs.p95 / remainingMs.p05);
      const both = [
        ...seen,
        ...[4, 5, 6, 7].map((round) => ({ ...playRound(alone, large(4_096), { round, seed: 1, cold: false }), batchSize: 4_096 })),
      ];
      expect(sdOf(predicted({ ...before, batchSize: 4_096, observations: both }))).toBeLessThan(0.3);
    });
  });

  it('is no drift', () => {
    const after = { ...playRound(current, withBatch(512), { round: 4, seed: 1, cold: false }), batchSize: 512 };
    const decision = predicted({ ...input, batchSize: 512, observations: [...rounds, after, { ...after, round: 5 }, { ...after, round: 6 }] });
    expect(decision.reason).not.toContain('times as long as before');
  });
});

describe('what earlier runs of the program saw', () => {
  // Counted work says that one worker is enough; in truth the model is 4 times as slow, and workers pay.
  const slow: typeof twoCores = { ...twoCores, noise: 0, computeMs: (a) => 4 * twoCores.computeMs(a) };
  const seen = [1, 2].map((workers, round) => playRound({ workers, memoryMib: 1_769, steps: 8 }, slow, { round, seed: 1, cold: false }));
  const fresh = digits({ phase: 'profile', goal: { minimize: 'time' }, program: { ...digits().program, forwardFlopsPerSample: 400_000 } });

  it('picks the first probe, and says so; it is a probe all the same', () => {
    const [blind, warm] = [decideNext(fresh), decideNext({ ...fresh, earlier: seen })];
    expect(warm.kind).toBe('probe');
    expect(warm.reason).toContain('what an earlier run of this program saw');
    const stepMs = slow.computeMs(allocationOf(warm)) + slow.syncMs(allocationOf(warm));
    const errorOf = (decision: Decision) => (decision.kind === 'probe' ? Math.abs(Math.log(decision.prediction.stepMs / stepMs)) : Infinity);
    expect(errorOf(warm)).toBeLessThan(0.5);
    expect(errorOf(warm)).toBeLessThan(errorOf(blind));
  });

  it('is overruled by one look at this run', () => {
    const now = playRound({ workers: 2, memoryMib: 1_769, steps: 40 }, twoCores, { round: 0, seed: 1, cold: false });
    const decision = decideNext({ ...fresh, phase: 'run', earlier: seen, observations: [now], current: now.allocation });
    if (decision.kind !== 'run') throw new Error(decision.reason);
    expect(decision.prediction.stepMs / now.stepMs).toBeLessThan(1.3);
  });
});
