import type { Allocation } from '../../contracts/round';
import type { Decision, DecisionRequest } from '../../contracts/scheduling';
import { decideNext } from '../../scheduler';
import { digits, playRound, twoCores, type Truth } from './machine';

/** A cloud whose store slows more workers down: 32 of them are about as fast as 16, and twice as dear. */
const cloudWith = (syncMsPerWorker: number): Truth => ({
  ...twoCores,
  noise: 0.02,
  computeMs: ({ workers, memoryMib }) => 4_000 / workers / Math.min(1, memoryMib / 1_769),
  syncMs: ({ workers }) => syncMsPerWorker * workers,
});
const cloud = cloudWith(10);
const accepted = { totalNanoUsdP95: 300_000_000, finishAtMsP95: 1_000_000 };
/** A run that has had six rounds with so many workers. */
function underWay(workers: number, change: Partial<DecisionRequest>, truth = cloud): DecisionRequest {
  const current = { workers, memoryMib: 1_769, steps: 20 };
  const observations = [0, 1, 2, 3, 4, 5].map((round) => playRound(current, truth, { round, seed: 1, cold: round === 0 }));
  const bounds = { ...digits().bounds, totalCores: Infinity, maxWorkers: 64 };
  return digits({ lanes: 64, bounds, observations, current, stepsDone: 120, remainingSteps: 1_000, ...change });
}
const runOf = (decision: Decision): { allocation: Allocation; reason: string } => {
  if (decision.kind !== 'run') throw new Error(`expected a round, got ${decision.kind}: ${decision.reason}`);
  return decision;
};

describe('a run under way', () => {
  it('looks at what may keep a deadline that is likely missed, for a few steps, and says so; what it has seen it does not look at again', () => {
    const late = underWay(16, { goal: { minimize: 'cost', deadlineAtMs: 420_000 }, accepted });
    const { allocation, reason } = runOf(decideNext(late));
    expect(reason).toMatch(/^Trying .* it may keep the limits after all/);
    expect(allocation.steps).toBeLessThanOrEqual(8);
    const seen = playRound(allocation, cloud, { round: 6, seed: 1, cold: true });
    const next = runOf(decideNext({ ...late, observations: [...late.observations, seen], current: allocation }));
    expect(next.allocation).not.toMatchObject({ workers: allocation.workers, memoryMib: allocation.memoryMib });
    expect(runOf(decideNext({ ...late, switches: 11 })).reason).not.toContain('Trying');
  });

  it('hurries once its deadline is lost, where a plan not yet begun would save half of the cost for some of the time', () => {
    const goal = { minimize: 'cost', deadlineAtMs: 200_000 } as const;
    const late = underWay(16, { goal }, cloudWith(7));
    expect(runOf(decideNext(late)).allocation.workers).toBe(16);
    expect(runOf(decideNext({ ...late, accepted })).allocation.workers).toBe(32);
  });

  it('changes its allocation for what is worth it beside the whole, not for a fraction of the last steps', () => {
    const goal = { minimize: 'cost', deadlineAtMs: 100_000_000 } as const;
    const workersWith = (remainingSteps: number) =>
      runOf(decideNext(underWay(8, { goal, stepsDone: 1_000 - remainingSteps, remainingSteps }))).allocation.workers;
    expect(workersWith(300)).toBe(1);
    expect(workersWith(20)).toBe(8);
  });

  it('keeps 3 % of what is left of its limits for what nobody announces', () => {
    const bounds = { ...digits().bounds, totalCores: Infinity, minWorkers: 16, maxWorkers: 16, memoryMib: 1_769 };
    const predict = (goal: DecisionRequest['goal']) => {
      const decision = decideNext(underWay(16, { goal, bounds, remainingSteps: 200 }));
      if (decision.kind !== 'run') throw new Error(decision.reason);
      return decision.prediction;
    };
    const { p50 } = predict({ minimize: 'time' }).remainingMs;
    expect(predict({ minimize: 'time', deadlineAtMs: p50 / 0.97 }).feasibility).toBeCloseTo(0.5, 2);
  });
});
