import type { ObservationInput } from '../../contracts/scheduling';
import { compactObservations } from '../../scheduler';
import { playRound, twoCores } from './machine';

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
