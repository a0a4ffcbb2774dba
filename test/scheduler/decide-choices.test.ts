import type { Minimize } from '../../contracts/goal';
import { decideNext } from '../../scheduler';
import { digits } from './machine';
import { allocationOf } from './playing';

describe('decideNext, for one round', () => {
  it('counts a turn for every round that the longest round allows: short steps in short rounds take longer than the steps', () => {
    const free = decideNext(digits({ phase: 'run', probesLeft: 0, remainingSteps: 100_000 }));
    const cut = decideNext(digits({ phase: 'run', probesLeft: 0, remainingSteps: 100_000, mostRoundSteps: 16 }));
    if (free.kind !== 'run' || cut.kind !== 'run') throw new Error('expected runs');
    expect(cut.allocation.steps).toBeLessThanOrEqual(16);
    const roundsMs = (100_000 / 16) * 40;
    expect(cut.prediction.remainingMs.p50).toBeGreaterThan(roundsMs);
    expect(free.prediction.remainingMs.p50).toBeLessThan(cut.prediction.remainingMs.p50);
  });

  it('keeps clear of shapes whose first step used up the money of its round, as long as there are others', () => {
    const { workers, memoryMib } = allocationOf(decideNext(digits()));
    expect(allocationOf(decideNext(digits({ forbidden: { tooDear: [{ workers, memoryMib }] } })))).not.toMatchObject({ workers, memoryMib });
    const bounds = { ...digits().bounds, minWorkers: workers, maxWorkers: workers, memoryMib };
    const only = allocationOf(decideNext(digits({ bounds, forbidden: { tooDear: [{ workers, memoryMib }] } })));
    expect(only).toMatchObject({ workers, memoryMib });
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

  it('says whose limits it means where they are a stage’s share of the run’s', () => {
    const { goal } = digits();
    const ofTrain = { ...goal, minimize: 'time' as const, stage: 'train' as const };
    const [late, own] = [{ goal: ofTrain, nowMs: 605_000 }, { nowMs: 605_000 }].map((change) => decideNext(digits(change)).reason);
    expect(late).toBe('5.0 s have passed since the deadline of train (its share of the run’s), with 155 steps left.');
    expect(own).toBe('5.0 s have passed since the deadline, with 155 steps left.');
    expect(decideNext(digits({ goal: ofTrain })).reason).toContain('sure to keep train’s budget and deadline');
    const poor = decideNext(digits({ goal: { ...ofTrain, budgetNanoUsd: 10 } }));
    expect(poor.reason).toContain('of the budget of train (its share of the run’s), $0.000000010, is left');
  });
});
