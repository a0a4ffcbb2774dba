import type { DecisionRequest } from '../../contracts/scheduling';
import { decideNext } from '../../scheduler';
import { digits, playRound, twoCores } from './machine';
import { withBatch } from './playing';

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
