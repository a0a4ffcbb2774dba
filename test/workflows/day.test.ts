import { totalNanoUsd } from '../../contracts/money';
import type { TrackResult } from '../../contracts/pipeline';
import { createModel } from '../support/simulated/model';
import { startSimulatedEngine, type SimulatedEngine } from '../support/simulated/engine';
import { testServer } from '../support/simulated/test-server';

jest.setTimeout(120_000);
const SECOND = 1_000;
const HOUR = 3_600_000;
const WORKERS = 12;

testServer.describe('a day of twelve workers in virtual time', (serverPath) => {
  let engine: SimulatedEngine;
  beforeAll(async () => {
    engine = await startSimulatedEngine(serverPath);
  });
  afterAll(() => engine?.close());

  it('trains for 18 to 26 hours with crashes, larger batches and a slower machine, within deadline and budget, and charges what was billed', async () => {
    const job = {
      name: 'day',
      data: { train: 'file:///data/train' },
      model: { layers: ['flatten', { dense: 10 }] },
      loss: 'softmax-cross-entropy',
      training: {
        ...{ steps: 700, batchSize: 1_024, lanes: 1_024, seed: 3, optimizer: { kind: 'adam', learningRate: 0.01 } },
        batchSchedule: [{ fromStep: 250, batchSize: 2_048 }],
      },
      allocation: { minWorkers: WORKERS, maxWorkers: WORKERS, memoryMib: 1_769, stepsPerRound: 60 },
      goal: { deadline: '26h', budgetUsd: 400 },
    };
    let startMs = 0;
    const stepMs = (_: unknown, { first }: { first: number }, nowMs: number) =>
      (first >= 250 ? 2 : 1) * (nowMs - startMs > 12 * HOUR ? 1.2 : 1) * 60 * SECOND;
    // 300 hours of functions: some die.
    const model = createModel({ stepMs, crashesPerHour: 0.05, forwardFlopsPerSample: 2e11 });
    await engine.inWorld({ model, limits: { concurrency: 200 } }, async ({ run, now, platform }) => {
      startMs = await now();
      const result = await run<TrackResult>('train', 'day', { job });
      const tookMs = Math.max(...platform.bills.map(({ startMs: fromMs, usage }) => fromMs + usage.billedMs)) - startMs;
      expect(`${result.outcome}: ${result.reason}`).toMatch(/^completed/);
      expect(result.step).toBe(700);
      expect(tookMs).toBeGreaterThan(18 * HOUR);
      expect(tookMs).toBeLessThan(26 * HOUR);
      expect(platform.peakConcurrency).toBeGreaterThanOrEqual(WORKERS);
      expect(platform.bills.filter(({ kind }) => kind === 'crashed').length).toBeGreaterThan(0);
      expect(result.bill.invocations).toBe(platform.bills.length);
      expect(result.bill.billedMs).toBe(platform.bills.reduce((sum, { usage }) => sum + usage.billedMs, 0));
      expect(totalNanoUsd(result.bill)).toBeLessThan(400e9);
      expect(result.bill.storeNanoUsd).toBeGreaterThan(0);
    });
  });
});
