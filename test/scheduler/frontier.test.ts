import { iterationCostUsd, predictFrontier, roundCostNanoUsd } from '../../scheduler';
import { digits, prices } from './machine';

describe('predictFrontier', () => {
  it('trades time against cost at every point, fastest first', () => {
    const bounds = { maxWorkers: 64, minMemoryMib: 128, maxMemoryMib: 10_240, concurrency: 1_000, totalCores: Infinity };
    const frontier = predictFrontier(digits({ bounds, lanes: 64, remainingSteps: 1_000 }));
    expect(frontier.length).toBeGreaterThan(2);
    for (let i = 1; i < frontier.length; i += 1) {
      expect(frontier[i]!.prediction.remainingMs.p50).toBeGreaterThanOrEqual(frontier[i - 1]!.prediction.remainingMs.p50);
      expect(frontier[i]!.prediction.remainingNanoUsd.p50).toBeLessThan(frontier[i - 1]!.prediction.remainingNanoUsd.p50);
    }
    for (const { prediction } of frontier) {
      expect(prediction.remainingMs.p05).toBeLessThan(prediction.remainingMs.p50);
      expect(prediction.remainingMs.p50).toBeLessThan(prediction.remainingMs.p95);
    }
  });
});

describe('what a round costs', () => {
  it('is memory times billed time times workers, and a request each', () => {
    expect(iterationCostUsd({ workers: 2, memoryMib: 2_048, durationMs: 500 }, { usdPerGbSecond: 1e-5, usdPerRequest: 2e-7 })).toBeCloseTo(
      2e-5 + 4e-7,
      12,
    );
  });
  it('rounds billed time up to whole milliseconds and money up to whole nano-dollars, and adds the store', () => {
    const started = roundCostNanoUsd({ workers: 1, memoryMib: 1_024, durationMs: 0.2 }, prices);
    expect(started).toBe(Math.ceil(16.6667 + 200));
    expect(roundCostNanoUsd({ workers: 1, memoryMib: 1_024, durationMs: 0.2 }, prices, { puts: 2, gets: 1 })).toBe(
      Math.ceil(16.6667 + 200 + 10_000 + 400),
    );
  });
});
