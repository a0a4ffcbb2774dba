import type { Allocation } from '../../contracts/round';
import { Observation } from '../../contracts/scheduling';
import { compactObservations, decideNext, predictFrontier } from '../../scheduler';
import { cumulativeSumAlarm, findDrift, followDrifts } from '../../scheduler/drift';
import { digits, playRound, twoCores, type Truth } from './machine';

const allocation: Allocation = { workers: 2, memoryMib: 1_769, steps: 100 };
const slower = (factor: number): Truth => ({ ...twoCores, computeMs: (each) => factor * twoCores.computeMs(each) });
const rounds = (seed: number, count: number, changeAt: number, factor: number) =>
  Array.from({ length: count }, (_, round) =>
    Observation.parse(playRound(allocation, round < changeAt ? twoCores : slower(factor), { round, seed, cold: round === 0 })),
  );

describe('drift', () => {
  it('is seen within three rounds of computing getting 1.5 times slower, and put down to computing', () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const drift = findDrift(rounds(seed, 11, 8, 1.5));
      expect(drift).toBeDefined();
      expect(drift!.sinceRound).toBeGreaterThanOrEqual(6);
      expect(drift!.computeRatio).toBeGreaterThan(1.3);
      expect(Math.abs(drift!.syncRatio - 1)).toBeLessThan(0.3);
    }
  });

  it('is seen at most once in ten jobs in which nothing happened', () => {
    const alarms = Array.from({ length: 40 }, (_, seed) => findDrift(rounds(seed, 24, 99, 1))).filter((drift) => drift !== undefined);
    expect(alarms.length).toBeLessThanOrEqual(4);
  });

  it('moves the prediction to today’s speed, and the reason says so', () => {
    const input = digits({ remainingSteps: 2_000, stepsDone: 1_100, current: allocation, observations: rounds(3, 12, 8, 2) });
    const decision = decideNext(input);
    if (decision.kind !== 'run') throw new Error(decision.reason);
    const truthMs = slower(2).computeMs(decision.allocation) + slower(2).syncMs(decision.allocation);
    expect(Math.abs(decision.prediction.stepMs / truthMs - 1)).toBeLessThan(0.1);
    expect(decision.reason).toContain('computing changed');
  });

  it('stays when the allocation changes: what another one showed before it is scaled to today', () => {
    const before = rounds(3, 12, 8, 2);
    const other = { workers: 1, memoryMib: 1_769, steps: 100 };
    const after = [12, 13].map((round) => Observation.parse(playRound(other, slower(2), { round, seed: 3, cold: round === 12 })));
    const input = digits({ remainingSteps: 2_000, stepsDone: 1_400, current: other });
    const truthMs = slower(2).computeMs(allocation) + slower(2).syncMs(allocation);
    for (const observations of [[...before, ...after], compactObservations([...before, ...after])]) {
      const back = predictFrontier({ ...input, observations }).find((each) => each.allocation.workers === 2 && each.allocation.memoryMib === 1_769);
      expect(Math.abs(back!.prediction.stepMs / truthMs - 1)).toBeLessThan(0.1);
    }
  });

  it('takes more than one slow round: a straggler may have met it', () => {
    const calm = rounds(3, 8, 99, 1);
    const slow = rounds(3, 9, 8, 2).at(-1)!;
    expect(findDrift([...calm, slow])).toBeUndefined();
    expect(findDrift([...calm, slow, { ...slow, round: 9 }])).toMatchObject({ sinceRound: 8 });
  });

  it('of a worker alone tells nothing of the exchange among several', () => {
    // Its first rounds met stragglers, which it can only call waiting; then nothing holds it up any more.
    const alone = { workers: 1, memoryMib: 1_769, steps: 100 };
    const among = Observation.parse(playRound(allocation, twoCores, { round: 0, seed: 3, cold: false }));
    const rest = Array.from({ length: 9 }, (_, i) => {
      const calm = Observation.parse(playRound(alone, twoCores, { round: i + 1, seed: 3, cold: false }));
      const heldUpMs = i < 3 ? calm.stepMs : 0;
      return { ...calm, stepMs: calm.stepMs + heldUpMs, parts: { ...calm.parts!, waitMs: calm.parts!.waitMs + heldUpMs } };
    });
    const { observations, newest } = followDrifts([among, ...rest]);
    expect(newest!.syncRatio).toBeLessThan(0.1);
    expect(observations[0]!.movedSince!.sync).toBe(1);
    expect(observations[1]!.movedSince!.sync).toBeLessThan(0.1);
  });

  it('is followed once: marking what is marked changes nothing', () => {
    const { observations, newest } = followDrifts(rounds(3, 12, 8, 2));
    expect(newest!.sinceRound).toBe(8);
    expect(observations.filter(({ movedSince }) => movedSince).map(({ round }) => round)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(followDrifts(observations)).toEqual({ observations, newest: undefined });
  });

  it('alarms in one window at a step of 50 %', () => {
    expect(cumulativeSumAlarm([0.2, -0.4, Math.log(1.5) / 0.03])).toEqual({ at: 2 });
    expect(cumulativeSumAlarm([0.3, -0.3, 0.4, -0.2])).toBeUndefined();
  });
});
