import { Synchronization, topologies } from '../../contracts/synchronization';
import { groupsFor, type Exchanged } from '../../scheduler';
import { syncTerms, SYNC_WEIGHTS, trafficOf } from '../../scheduler/model/traffic';

const exchanged: Exchanged = { exchange: 's3', topology: 'scatter-reduce', lanes: 1_024, paramCount: 250_000, bufferCount: 0 };
const guessMs = (shape: Exchanged, workers: number) => syncTerms(shape, workers, 1).reduce((sum, term, i) => sum + SYNC_WEIGHTS[i]! * term, 0);

describe('scatter-reduce', () => {
  const shareOf = (paramCount: number, workers: number) => {
    const { busiestBytes, totalBytes } = trafficOf({ ...exchanged, lanes: 16, paramCount }, workers);
    return (workers * busiestBytes) / totalBytes;
  };
  it('makes the busiest of 2, 4 and 8 workers move at most 5 % more than the mean, of 16 at most 8 %', () => {
    for (const paramCount of [44_426, 250_000, 530_000, 1_100_000, 2_500_000, 25_000_000]) {
      for (const workers of [2, 4, 8]) expect(shareOf(paramCount, workers)).toBeLessThan(1.05);
      expect(shareOf(paramCount, 16)).toBeLessThan(1.08);
    }
    expect(shareOf(25_000_000, 16)).toBeLessThan(1.005);
  });
});

describe('the groups of a round', () => {
  it('are none among few workers, on files, and for every topology but scatter-reduce', () => {
    expect(groupsFor({ ...exchanged, exchange: 'files' }, 64)).toBeUndefined();
    for (const workers of [1, 2, 3, 4, 8, 15]) expect(groupsFor(exchanged, workers)).toBeUndefined();
    for (const topology of topologies.filter((name) => name !== 'scatter-reduce')) expect(groupsFor({ ...exchanged, topology }, 64)).toBeUndefined();
  });

  it('grow with the square root of the workers where each request waits for the store', () => {
    for (const [workers, groups] of [
      [16, 4],
      [64, 8],
      [256, 16],
    ] as const)
      expect([workers, groups / 2, groups, groups * 2]).toContain(groupsFor(exchanged, workers));
    expect(trafficOf(exchanged, 256).requests).toBeLessThan(0.5 * trafficOf({ ...exchanged, groups: 1 }, 256).requests);
  });

  it('are chosen only where they promise at least a tenth less, and never promise more than none', () => {
    for (const exchange of ['files', 'redis', 's3'] as const)
      for (const paramCount of [10_000, 1_000_000, 100_000_000])
        for (const workers of [16, 24, 96]) {
          const shape = { ...exchanged, exchange, paramCount };
          const [chosen, none] = [guessMs(shape, workers), guessMs({ ...shape, groups: 1 }, workers)];
          if (groupsFor(shape, workers) === undefined) expect(chosen).toBe(none);
          else expect(chosen).toBeLessThan(0.9 * none);
        }
  });

  it('are those of the job where it names them, which only scatter-reduce may', () => {
    expect(groupsFor({ ...exchanged, groups: 3 }, 64)).toBe(3);
    expect(Synchronization.safeParse({ groups: 3 }).success).toBe(true);
    expect(Synchronization.safeParse({ groups: 3, topology: 'all-to-all' }).error?.issues[0]).toMatchObject({
      path: ['groups'],
      message: expect.stringContaining('only scatter-reduce'),
    });
  });
});
