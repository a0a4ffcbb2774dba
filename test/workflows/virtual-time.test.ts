import { mostAfter } from '../../contracts/charged-requests';
import { spentNanoUsd, totalNanoUsd, type Bill } from '../../contracts/money';
import type { RunRecord, TrackResult } from '../../contracts/pipeline';
import { listPrices } from '../../platforms/lambda/prices';
import type { SimulatedBill } from '../../platforms/simulated';
import { createModel, dividedWork } from '../support/simulated/model';
import { startSimulatedEngine, type SimulatedEngine } from '../support/simulated/engine';
import { testServer } from '../support/simulated/test-server';

jest.setTimeout(60_000);
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

testServer.describe('stages in virtual time', (serverPath) => {
  let engine: SimulatedEngine;
  beforeAll(async () => {
    engine = await startSimulatedEngine(serverPath);
  });
  afterAll(() => engine?.close());

  const jobOf = (changes: object = {}, training: object = {}) => ({
    name: 'virtual',
    data: { train: 'file:///data/train', validation: 'file:///data/validation', test: 'file:///data/test' },
    model: { layers: ['flatten', { dense: 10 }] },
    loss: 'softmax-cross-entropy',
    training: { steps: 200, batchSize: 256, lanes: 64, seed: 3, optimizer: { kind: 'adam', learningRate: 0.01 }, ...training },
    allocation: { minWorkers: 2, maxWorkers: 2 },
    ...changes,
  });
  /** What the platform has charged, with the requests that each invocation's log told of: a tenth more where it died. */
  const sumOf = (bills: readonly SimulatedBill[]) => ({
    invocations: bills.length,
    billedMs: bills.reduce((sum, { usage }) => sum + usage.billedMs, 0),
    storeNanoUsd: bills.reduce((sum, { kind, requests }) => {
      const { puts, gets } = kind === 'returned' ? requests : mostAfter(requests);
      return sum + Math.round(puts * listPrices.x64.usdPerPut * 1e9 + gets * listPrices.x64.usdPerGet * 1e9);
    }, 0),
  });
  const endOf = ({ startMs, usage }: SimulatedBill) => startMs + usage.billedMs;
  const chargedOf = (bills: readonly Bill[]) => ({
    invocations: bills.reduce((sum, bill) => sum + bill.invocations, 0),
    billedMs: bills.reduce((sum, bill) => sum + bill.billedMs, 0),
    storeNanoUsd: bills.reduce((sum, bill) => sum + bill.storeNanoUsd, 0),
  });

  it('profiles, tunes, trains, evaluates and deploys, and charges what the platform billed', async () => {
    const job = jobOf({
      tune: { trials: 2, parallelism: 2, parameters: { 'training.optimizer.learningRate': { logUniform: [0.003, 0.03] } } },
      deploy: { name: 'virtual' },
    });
    await engine.inWorld({ model: createModel({ stepMs: () => 3 * SECOND }) }, async ({ run, platform }) => {
      const record = await run<RunRecord>('pipeline', 'whole', { job });
      expect(`${record.status}: ${record.reason}`).toMatch(/^completed/);
      expect(Object.values(record.stages)).toEqual(['completed', 'completed', 'completed', 'completed', 'completed']);
      expect(chargedOf(Object.values(record.ledger))).toEqual(sumOf(platform.bills));
      expect(record.updatedAtMs - record.startedAtMs).toBeGreaterThan(10 * MINUTE);
    });
  });

  it('times gradients on single functions of three sizes before the first look, for at most 0.5 % of the work', async () => {
    const model = createModel({ stepMs: dividedWork(256 * 40), gradientMs: 40 });
    await engine.inWorld({ model }, async ({ run, platform }) => {
      const job = jobOf({ allocation: { maxWorkers: 16 } }, { steps: 20_000 });
      const result = await run<TrackResult>('profile', 'probed', { job });
      expect(result.journal[0]!.reason).toMatch(
        /Single functions took 160 ms at 1,769 MiB, 160 ms at 3,538 MiB, 160 ms at 7,076 MiB for a gradient of 4/,
      );
      const [one, two, four, ...rounds] = platform.bills.filter(({ role }) => role === 'train');
      expect(new Set([one, two, four].map((bill) => bill!.usage.memoryMib))).toEqual(new Set([1_769, 3_538, 7_076]));
      expect(rounds.every(({ usage }) => usage.memoryMib <= 1_769)).toBe(true);
      expect(chargedOf([result.bill])).toEqual(sumOf(platform.bills));
      const usd = [one, two, four].reduce((sum, bill) => sum + (bill!.usage.billedMs / 1_000) * (bill!.usage.memoryMib / 1_024) * 1.66667e-5, 0);
      // 20,000 batches of 10 s each on one vCPU.
      expect(usd).toBeLessThan(0.005 * 20_000 * 10.24 * (1_769 / 1_024) * 1.66667e-5);
    });
  });

  it('begins a second run of a program with what the first has seen, and takes no micro-probe for it', async () => {
    await engine.inWorld({ model: createModel({ stepMs: dividedWork(256 * 40), gradientMs: 40 }) }, async ({ run, platform }) => {
      const job = jobOf({ allocation: { maxWorkers: 8, memoryMib: 1_769 } }, { steps: 20_000 });
      await run<TrackResult>('profile', 'first', { job });
      const before = platform.bills.length;
      const { journal, bill } = await run<TrackResult>('profile', 'second', { job });
      expect(journal[0]!.reason).toMatch(
        /by what an earlier run of this program saw.*No micro-probe: an earlier run of this program has been seen here/,
      );
      expect(chargedOf([bill])).toEqual(sumOf(platform.bills.slice(before)));
    });
  });

  it('ends at its target, long before its last step', async () => {
    const until = { metric: 'validation.accuracy', value: 0.75 };
    await engine.inWorld({ model: createModel({ stepMs: () => MINUTE }) }, async ({ run, platform }) => {
      const result = await run<TrackResult>('train', 'until', { job: jobOf({}, { steps: 500, until, validateEverySteps: 10 }) });
      // 1 - 0.9 / (1 + step / 20) is 0.75 at step 52.
      expect(result).toMatchObject({ outcome: 'completed', step: 60, reason: expect.stringMatching(/accuracy/) });
      expect(chargedOf([result.bill])).toEqual(sumOf(platform.bills));
    });
  });

  it('stops early where the loss rises, with the weights of its best validation', async () => {
    const earlyStopping = { metric: 'validation.loss', patience: 2 };
    const lossAt = (step: number) => 1 + Math.abs(step - 60) / 100;
    await engine.inWorld({ model: createModel({ stepMs: () => MINUTE, lossAt }) }, async ({ run, store }) => {
      const result = await run<TrackResult>('train', 'early', { job: jobOf({}, { steps: 500, earlyStopping, validateEverySteps: 10 }) });
      expect(result).toMatchObject({ outcome: 'completed', step: 80 });
      const { track, round } = result.weights!;
      const manifest = JSON.parse(Buffer.from(await store.get(`runs/early/${track}/rounds/${round}/manifest`)).toString()) as { step: number };
      expect(manifest.step).toBe(60);
    });
  });

  it('never again tries a shape whose first step meets the function time limit, nor a smaller one', async () => {
    const stepMs = ({ workers }: { workers: number }) => (workers < 4 ? 20 : 2) * MINUTE;
    await engine.inWorld({ model: createModel({ stepMs, forwardFlopsPerSample: 1e6 }) }, async ({ run, platform }) => {
      const job = jobOf({ allocation: { maxWorkers: 8, memoryMib: 1_769 }, goal: { minimize: 'cost' } }, { steps: 20 });
      const result = await run<TrackResult>('train', 'slow', { job });
      expect(result).toMatchObject({ outcome: 'completed', step: 20 });
      const tried = result.journal.map(({ allocation }) => allocation.workers);
      expect(tried[0]).toBeLessThan(4);
      for (const [i, workers] of tried.entries()) for (const earlier of tried.slice(0, i)) if (earlier < 4) expect(workers).toBeGreaterThan(earlier);
      expect(platform.bills.some(({ kind }) => kind === 'timedOut')).toBe(true);
      expect(chargedOf([result.bill])).toEqual(sumOf(platform.bills));
    });
  });

  it('waits out a platform that is down for two minutes of every twenty, for hours', async () => {
    let refused = 0;
    const refuses = (_role: string, nowMs: number) => nowMs % (20 * MINUTE) < 2 * MINUTE && ++refused > 0;
    await engine.inWorld({ model: createModel({ stepMs: () => MINUTE, refuses }) }, async ({ run, platform }) => {
      const result = await run<TrackResult>('train', 'outages', { job: jobOf() });
      expect(result).toMatchObject({ outcome: 'completed', step: 200 });
      expect(refused).toBeGreaterThan(20);
      expect(platform.bills.every(({ startMs }) => startMs % (20 * MINUTE) >= 2 * MINUTE)).toBe(true);
      expect(chargedOf([result.bill])).toEqual(sumOf(platform.bills));
    });
  });

  it('gives up on a platform that stays down, after a bounded time', async () => {
    await engine.inWorld({ model: createModel({ refuses: () => true }) }, async ({ start, platform }) => {
      const handle = await start('train', 'down', { job: jobOf() });
      await expect(handle.result()).rejects.toThrow();
      const { startTime, closeTime } = await handle.describe();
      expect(closeTime!.getTime() - startTime.getTime()).toBeLessThan(10 * MINUTE);
      expect(platform.bills).toEqual([]);
    });
  });

  it('ends at its deadline by a timer, when a round that was planned to end in time has become slower', async () => {
    const stepMs = (_: unknown, plan: { first: number }) => (plan.first >= 100 ? 5 : 1) * 30 * SECOND;
    await engine.inWorld({ model: createModel({ stepMs, forwardFlopsPerSample: 1e9 }) }, async ({ run, now, platform }) => {
      const startMs = await now();
      const job = jobOf({ goal: { deadline: '2h' }, allocation: { minWorkers: 2, maxWorkers: 2, stepsPerRound: 100 } });
      const result = await run<TrackResult>('train', 'late', { job });
      expect(result.outcome).toBe('deadlineReached');
      expect(result.reason).toMatch(/^the deadline came before/);
      expect(result.step).toBeGreaterThan(100);
      expect(result.step).toBeLessThan(200);
      expect(Math.max(...platform.bills.map(endOf)) - startMs).toBeLessThan(2 * HOUR + 10 * SECOND);
      expect(Math.max(...platform.bills.map(endOf)) - startMs).toBeGreaterThan(2 * HOUR - MINUTE);
    });
  });

  it('trains past the function time limit: each invocation ends in time, and its successor goes on', async () => {
    const job = jobOf({ allocation: { minWorkers: 4, maxWorkers: 4, stepsPerRound: 200 } });
    await engine.inWorld({ model: createModel({ stepMs: () => 40 * SECOND }) }, async ({ run, platform }) => {
      const result = await run<TrackResult>('train', 'long', { job });
      expect(result).toMatchObject({ outcome: 'completed', step: 200 });
      const turns = platform.bills.filter(({ role }) => role === 'train');
      // 8,000 s of steps, at most 820 s of them before the margin of two steps.
      expect(turns.length).toBeGreaterThanOrEqual(4 * 10);
      expect(turns.every(({ usage, kind }) => usage.billedMs <= 15 * MINUTE && kind === 'returned')).toBe(true);
      expect(turns.filter(({ usage }) => usage.cold)).toHaveLength(4);
    });
  });

  it.each([
    ['4 workers, an activity each', 4],
    ['20 workers in chunks', 20],
  ])('goes on from the newest step after workers die early and late in their turns: %s', async (_, workers) => {
    const job = jobOf({ allocation: { minWorkers: workers, maxWorkers: workers, memoryMib: 1_769, stepsPerRound: 40 } }, { steps: 40 });
    const deaths = [Infinity, 5.5 * MINUTE, 12.5 * MINUTE];
    const crashAfterMs = (plan: { first: number }, worker: number, invocation: number) =>
      plan.first === 0 && invocation === 0 ? (deaths[worker] ?? Infinity) : Infinity;
    await engine.inWorld({ model: createModel({ stepMs: () => MINUTE, crashAfterMs }) }, async ({ run, platform }) => {
      const result = await run<TrackResult>('train', `deaths-${workers}`, { job });
      expect(result).toMatchObject({ outcome: 'completed', step: 40 });
      const died = platform.bills.filter(({ kind }) => kind !== 'returned');
      expect(died.map(({ kind, usage }) => [kind, Math.round(usage.billedMs / SECOND)])).toEqual([
        ['crashed', 330],
        ['crashed', 750],
      ]);
      expect(chargedOf([result.bill])).toEqual(sumOf(platform.bills));
    });
  });

  it('takes a larger function after one that ran out of memory', async () => {
    const model = createModel({ peakRssMib: () => 1_500, stepMs: dividedWork(60 * SECOND) });
    await engine.inWorld({ model }, async ({ run, platform }) => {
      const result = await run<TrackResult>('train', 'memory', { job: jobOf({ allocation: { maxWorkers: 4 } }, { steps: 60 }) });
      expect(result).toMatchObject({ outcome: 'completed', step: 60 });
      const small = platform.bills.filter(({ kind }) => kind === 'outOfMemory');
      const last = result.journal.at(-1)!;
      expect(last.allocation.memoryMib).toBeGreaterThan(1_500);
      expect(small.every(({ usage }) => usage.memoryMib < 1_500)).toBe(true);
    });
  });

  it('keeps its budget when steps become ten times slower in the middle of it: functions stop when their money is used up', async () => {
    const stepMs = (_: unknown, plan: { first: number }) => (plan.first >= 100 ? 10 : 1) * 20 * SECOND;
    await engine.inWorld({ model: createModel({ stepMs, forwardFlopsPerSample: 1.25e9 }) }, async ({ run, platform }) => {
      const allocation = { minWorkers: 4, maxWorkers: 4, memoryMib: 1_769, stepsPerRound: 100 };
      const result = await run<TrackResult>('train', 'dear', { job: jobOf({ allocation, goal: { budgetUsd: 0.8 } }) });
      expect(['budgetExhausted', 'infeasibleGoal']).toContain(result.outcome);
      expect(result.step).toBeGreaterThan(100);
      expect(totalNanoUsd(result.bill)).toBeLessThanOrEqual(0.8e9);
      expect(totalNanoUsd(result.bill)).toBeGreaterThan(0.4e9);
      expect(chargedOf([result.bill])).toEqual(sumOf(platform.bills));
    });
  });

  it('stops before the budget is passed, and goes on where it stopped once there is more', async () => {
    const training = { steps: 400 };
    const allocation = { minWorkers: 4, maxWorkers: 4, memoryMib: 1_769 };
    await engine.inWorld({ model: createModel({ stepMs: () => 20 * SECOND, forwardFlopsPerSample: 1.25e9 }) }, async ({ run, platform, store }) => {
      const poor = await run<RunRecord>('pipeline', 'budget', { job: jobOf({ allocation, goal: { budgetUsd: 0.5 } }, training) });
      expect(poor.status).not.toBe('completed');
      expect(poor.reason).toMatch(/budget/);
      expect(spentNanoUsd(poor.ledger)).toBeLessThanOrEqual(0.5e9);
      expect(spentNanoUsd(poor.ledger)).toBeGreaterThan(0);
      const rich = await run<RunRecord>('pipeline', 'budget', { job: jobOf({ allocation, goal: { budgetUsd: 20 } }, training), resume: true });
      expect(`${rich.status}: ${rich.reason}`).toMatch(/^completed/);
      expect(rich.step).toBe(400);
      expect(chargedOf(Object.values(rich.ledger))).toEqual(sumOf(platform.bills));
      // No step was paid for twice: the manifests' stretches of both runs meet without overlap.
      const ends = await Promise.all(
        (await store.list('runs/budget/'))
          .filter((name) => name.endsWith('/manifest'))
          .map(async (name) => JSON.parse(Buffer.from(await store.get(name)).toString()) as { step: number }),
      );
      expect(Math.max(...ends.map(({ step }) => step))).toBe(400);
    });
  });

  it('keeps its newest complete step when it is cancelled in the middle of a round', async () => {
    const job = jobOf({ allocation: { minWorkers: 2, maxWorkers: 2, stepsPerRound: 200 } });
    await engine.inWorld({ model: createModel({ stepMs: () => 20 * SECOND }) }, async ({ start, store, platform, now, sleep }) => {
      const startMs = await now();
      const handle = await start('train', 'cancelled', { job });
      // While nobody awaits a result the clock does not skip by itself.
      await sleep(10 * MINUTE);
      await handle.cancel();
      await expect(handle.result()).rejects.toThrow(/cancel/i);
      const manifest = JSON.parse(Buffer.from(await store.get('runs/cancelled/train/rounds/0/manifest')).toString()) as { step: number };
      expect(manifest.step).toBeGreaterThan(20);
      expect(manifest.step).toBeLessThanOrEqual(30);
      const turns = platform.bills.filter(({ role }) => role === 'train');
      expect(turns.length).toBeGreaterThan(0);
      expect(Math.max(...turns.map(endOf)) - startMs).toBeLessThan(11 * MINUTE);
    });
  });

  it('goes through hundreds of rounds in fresh histories and loses none', async () => {
    const job = jobOf({ allocation: { minWorkers: 1, maxWorkers: 1, stepsPerRound: 1 } }, { steps: 250 });
    await engine.inWorld({ model: createModel({ stepMs: () => 2 * MINUTE }) }, async ({ start, platform }) => {
      const handle = await start('train', 'rounds', { job });
      const result = (await handle.result()) as TrackResult;
      expect(result).toMatchObject({ outcome: 'completed', step: 250 });
      const turns = platform.bills.filter(({ role }) => role === 'train');
      expect(turns).toHaveLength(250);
      expect(totalNanoUsd(result.bill)).toBeGreaterThan(0);
      expect((await handle.describe()).runId).not.toBe(handle.firstExecutionRunId);
    });
  });
});
