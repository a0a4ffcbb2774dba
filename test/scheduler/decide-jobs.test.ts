import type { Allocation } from '../../contracts/round';
import { decideNext } from '../../scheduler';
import { digits, twoCores } from './machine';
import { allocationOf, play } from './playing';

describe('decideNext, over a whole job', () => {
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

  it('says after one probe that a goal is out of reach, and which goal would do', () => {
    const { decisions } = play(digits({ remainingSteps: 5_000, phase: 'profile', wholeGoal: { minimize: 'cost', deadlineAtMs: 5_000 } }));
    expect(decisions.map(({ kind }) => kind)).toEqual(['probe', 'infeasibleGoal']);
    const last = decisions.at(-1)!;
    if (last.kind !== 'infeasibleGoal') throw new Error('unreachable');
    expect(last.nearest.deadlineAtMs).toBeGreaterThan(50_000);
    expect(last.nearest.deadlineAtMs).toBeLessThan(150_000);
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
});
