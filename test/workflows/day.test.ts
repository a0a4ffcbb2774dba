import { addBills, noBill, totalNanoUsd } from '../../contracts/money';
import type { RunRecord } from '../../contracts/pipeline';
import { createModel } from '../support/simulated/model';
import { startSimulatedEngine, type SimulatedEngine } from '../support/simulated/engine';
import { testServer } from '../support/simulated/test-server';

jest.setTimeout(240_000);
const SECOND = 1_000;
const HOUR = 3_600_000;
const WORKERS = 1_000;
const BUDGET_USD = 3_000;

testServer.describe('a day of a thousand workers in virtual time', (serverPath) => {
  let engine: SimulatedEngine;
  beforeAll(async () => {
    engine = await startSimulatedEngine(serverPath);
  });
  afterAll(() => engine?.close());

  it('runs a pipeline for 20 to 26 hours with crashes, larger batches and a slower machine, within deadline and budget, and charges what was billed', async () => {
    const job = {
      name: 'day',
      data: { train: 'file:///data/train', test: 'file:///data/test' },
      model: { layers: ['flatten', { dense: 10 }] },
      loss: 'softmax-cross-entropy',
      training: {
        ...{ steps: 700, batchSize: 1_024, lanes: 1_024, seed: 3, optimizer: { kind: 'adam', learningRate: 0.01 } },
        batchSchedule: [{ fromStep: 250, batchSize: 2_048 }],
      },
      allocation: { minWorkers: WORKERS, maxWorkers: WORKERS, memoryMib: 1_769, stepsPerRound: 60 },
      goal: { deadline: '26h', budgetUsd: BUDGET_USD },
    };
    let startMs = 0;
    const stepMs = (_: unknown, { first }: { first: number }, nowMs: number) =>
      (first >= 250 ? 2 : 1) * (nowMs - startMs > 12 * HOUR ? 1.2 : 1) * 60 * SECOND;
    // 22,000 hours of functions: a few dozen die, and all the others wait for the one's step.
    const model = createModel({ stepMs, crashesPerHour: 0.001, forwardFlopsPerSample: 2e11 });
    await engine.inWorld({ model, limits: { concurrency: 2 * WORKERS } }, async ({ run, now, platform }) => {
      startMs = await now();
      const record = await run<RunRecord>('pipeline', 'day', { job });
      const { bills } = platform;
      const tookMs = bills.reduce((endMs, bill) => Math.max(endMs, bill.startMs + bill.usage.billedMs), 0) - startMs;
      const charged = Object.values(record.ledger).reduce(addBills, noBill);
      expect(`${record.status}: ${record.reason}`).toMatch(/^completed/);
      expect(record.step).toBe(700);
      expect(tookMs).toBeGreaterThan(20 * HOUR);
      expect(tookMs).toBeLessThan(26 * HOUR);
      expect(platform.peakConcurrency).toBeGreaterThanOrEqual(WORKERS);
      expect(bills.filter(({ kind }) => kind === 'crashed').length).toBeGreaterThan(5);
      expect(charged.invocations).toBe(bills.length);
      expect(charged.billedMs).toBe(bills.reduce((sum, { usage }) => sum + usage.billedMs, 0));
      expect(totalNanoUsd(charged)).toBeLessThan(BUDGET_USD * 1e9);
      expect(charged.storeNanoUsd).toBeGreaterThan(0);
    });
  });
});
