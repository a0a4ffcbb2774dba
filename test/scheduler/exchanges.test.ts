import fc from 'fast-check';
import type { ExchangeOption } from '../../contracts/exchange';
import type { DecisionRequest } from '../../contracts/scheduling';
import { decideNext, predictFrontier } from '../../scheduler';
import { digits, playRound, twoCores } from './machine';

const option = (kind: ExchangeOption['kind'], shards = 1, usdPerHour = 0): ExchangeOption => ({ kind, shards, usdPerHour });
const cloud = (change: Partial<DecisionRequest> = {}): DecisionRequest =>
  digits({
    goal: { minimize: 'time' },
    program: { paramCount: 5_000_000, bufferCount: 0, peakMemoryMib: 300, forwardFlopsPerSample: 1e7 },
    lanes: 64,
    batchSize: 1_024,
    remainingSteps: 2_000,
    bounds: { maxWorkers: 64, minMemoryMib: 128, maxMemoryMib: 10_240, concurrency: 1_000, totalCores: Infinity },
    ...change,
  });
const fastest = (request: DecisionRequest) => predictFrontier(request)[0]!;
const cheapest = (request: DecisionRequest) => predictFrontier(request).at(-1)!;

describe('a choice of exchanges', () => {
  const options = fc.uniqueArray(
    fc.record({ kind: fc.constantFrom<ExchangeOption['kind']>('files', 'redis', 'hybrid', 's3'), shards: fc.constantFrom(1, 2, 4), usdPerHour: fc.double({ min: 0, max: 5, noNaN: true }) }), // prettier-ignore
    { minLength: 1, maxLength: 4, selector: ({ kind, shards }) => `${kind}${shards}` },
  );

  it('names one that is there, and is never worse than any of them alone', () => {
    fc.assert(
      fc.property(options, fc.integer({ min: 1_000, max: 20_000_000 }), (exchanges, paramCount) => {
        const request = cloud({ exchanges, program: { ...cloud().program, paramCount } });
        const decision = decideNext(request);
        if (decision.kind !== 'run') throw new Error(decision.reason);
        const { exchange, shards = 1 } = decision.allocation;
        // Without a choice there is nothing to name.
        if (exchanges.length > 1) expect(exchanges.some((each) => each.kind === exchange && each.shards === shards)).toBe(true);
        else expect(exchange).toBeUndefined();
        for (const one of exchanges) {
          const alone = { ...request, exchanges: [one] };
          expect(fastest(request).prediction.remainingMs.p50).toBeLessThanOrEqual(fastest(alone).prediction.remainingMs.p50);
          expect(cheapest(request).prediction.remainingNanoUsd.p50).toBeLessThanOrEqual(cheapest(alone).prediction.remainingNanoUsd.p50);
        }
      }),
      { numRuns: 25, seed: 3 },
    );
  });

  it('of one is none', () => {
    const seen = playRound({ workers: 8, memoryMib: 1_769, steps: 4 }, twoCores, { round: 0, seed: 1, cold: false });
    const named = { ...seen, allocation: { ...seen.allocation, exchange: 'redis' as const } };
    expect(decideNext(cloud({ exchanges: [option('redis')], observations: [named] }))).toEqual(
      decideNext(cloud({ exchange: 'redis', observations: [seen] })),
    );
  });

  it('counts rent for all the time, and requests where they are charged', () => {
    const over = (one: ExchangeOption) => {
      const bounds = { ...cloud().bounds, minWorkers: 8, maxWorkers: 8, memoryMib: 1_769 };
      return fastest(cloud({ exchanges: [one], bounds })).prediction;
    };
    const [free, rented] = [over(option('redis')), over(option('redis', 1, 3.6))];
    expect(rented.remainingMs).toEqual(free.remainingMs);
    expect(rented.remainingNanoUsd.p50 - free.remainingNanoUsd.p50).toBeCloseTo(1e3 * free.remainingMs.p50, -3);
    // 8 workers with 2 own values each: puts at $5 a million.
    const hybrid = over(option('hybrid')).remainingNanoUsd.p50 - free.remainingNanoUsd.p50;
    expect(hybrid).toBeGreaterThan(2_000 * 16 * 5_000);
  });

  it('takes more servers where bytes are what a step waits for, and none more where an hour of them costs too much', () => {
    const shardsFor = (usdPerHour: number) => {
      const exchanges = [1, 2, 4, 8].map((shards) => option('redis', shards, 0.206 * shards));
      const decision = decideNext(cloud({ exchanges, goal: { minimize: { usdPerHour } } }));
      return decision.kind === 'run' ? (decision.allocation.shards ?? 1) : NaN;
    };
    const counts = [0.001, 1, 10, 100, 1_000].map(shardsFor);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(counts[0]).toBe(1);
    expect(counts.at(-1)).toBe(8);
  });

  it('learns of one exchange what it was over, and nothing of the others', () => {
    const exchanges = [option('redis'), option('s3')];
    const slow = { ...twoCores, noise: 0, syncMs: () => 20_000 };
    const seen = [0, 1].map((round) =>
      playRound({ workers: 8, memoryMib: 1_769, steps: 4, exchange: 'redis' }, slow, { round, seed: 1, cold: false }),
    );
    const over = (kind: 'redis' | 's3', observations: DecisionRequest['observations']) =>
      predictFrontier(
        cloud({ exchanges: [option(kind)], observations, bounds: { ...cloud().bounds, minWorkers: 8, maxWorkers: 8, memoryMib: 1_769 } }),
      )[0]!;
    expect(over('redis', seen).prediction.stepMs).toBeGreaterThan(2 * over('redis', []).prediction.stepMs);
    expect(over('s3', seen).prediction.stepMs).toBeLessThan(over('redis', seen).prediction.stepMs / 2);
    const decision = decideNext(cloud({ exchanges, observations: seen, current: { workers: 8, memoryMib: 1_769, steps: 4, exchange: 'redis' } }));
    expect(decision).toMatchObject({ kind: 'run', allocation: { exchange: 's3' } });
    expect(decision.reason).toMatch(/over S3/);
  });

  it('takes what names no exchange for the first', () => {
    const exchanges = [option('redis'), option('s3')];
    const allocation = { workers: 8, memoryMib: 1_769, steps: 4 };
    const [plain, named] = [allocation, { ...allocation, exchange: 'redis' as const }].map((each) =>
      playRound(each, twoCores, { round: 0, seed: 1, cold: false }),
    );
    expect(decideNext(cloud({ exchanges, observations: [plain!], current: allocation }))).toEqual(
      decideNext(cloud({ exchanges, observations: [named!], current: { ...allocation, exchange: 'redis' } })),
    );
  });
});
