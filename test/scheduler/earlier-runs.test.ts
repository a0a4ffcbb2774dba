import type { Decision } from '../../contracts/scheduling';
import { decideNext } from '../../scheduler';
import { digits, playRound, twoCores } from './machine';
import { allocationOf } from './playing';

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
