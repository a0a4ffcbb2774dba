import { join } from 'node:path';
import { FINAL_TRACK, type RunRecord, type TrackResult } from '../../contracts/pipeline';
import { startEngine, type Engine } from '../support/engine';
import { writeQuarters } from '../support/data';

jest.setTimeout(180_000);

describe('training on real processes', () => {
  let engine: Engine;
  let dataUri: string;
  beforeAll(async () => {
    engine = await startEngine();
    dataUri = writeQuarters(join(engine.home, 'data', 'train'), 512, 1);
  });
  afterAll(() => engine?.close());

  const jobOf = (allocation: object = {}, changes: object = {}) => ({
    name: 'quarters',
    data: { train: dataUri },
    model: { layers: [{ conv2d: { filters: 4, kernel: 3 } }, 'relu', 'flatten', { dense: 16 }, 'relu', { dense: 4 }] },
    loss: 'softmax-cross-entropy',
    training: { steps: 24, batchSize: 64, lanes: 16, seed: 3, optimizer: { kind: 'adam', learningRate: 0.01 } },
    allocation,
    ...changes,
  });
  const digests = new Map<string, string>();
  async function digestOf(run: string, job: object): Promise<string> {
    const record = await engine.run<RunRecord>('pipeline', run, { job });
    expect(`${record.status}: ${record.reason}`).toMatch(/^completed/);
    digests.set(run, record.weightsSha256!);
    return record.weightsSha256!;
  }

  it('learns: the loss falls by half', async () => {
    const result = await engine.run<TrackResult>('train', 'alone', { job: jobOf() });
    expect(result.outcome).toBe('completed');
    expect(result.step).toBe(24);
    expect(result.loss).toBeLessThan(0.7);
    expect(result.weights).toMatchObject({ run: 'alone', track: FINAL_TRACK });
  });

  it('gives the same weights for 1, 2, 3, 4 and 8 workers, and for a change of workers between rounds', async () => {
    const one = await digestOf('one', jobOf({ minWorkers: 1, maxWorkers: 1, stepsPerRound: 10 }));
    for (const workers of [2, 3, 4, 8])
      expect(await digestOf(`w${workers}`, jobOf({ minWorkers: workers, maxWorkers: workers, stepsPerRound: 7 }))).toBe(one);
    const free = await engine.run<RunRecord>('pipeline', 'free', { job: jobOf({ stepsPerRound: 5 }) });
    expect(free.weightsSha256).toBe(one);
    expect(free.journal[0]!.reason).toContain('what an earlier run of this program saw');
  });

  it('times gradients on single functions before a long job’s first look, and pays for it', async () => {
    const { training } = jobOf();
    const job = jobOf(
      { maxWorkers: 1, memoryMib: 1_769 },
      { model: { layers: ['flatten', { dense: 24 }, 'relu', { dense: 4 }] }, training: { ...training, steps: 5_000_000 } },
    );
    const before = (await engine.bills()).length;
    const others = (await engine.store.list('learnt/')).length > 0 ? ' and what runs of other programs saw here' : '';
    const result = await engine.run<TrackResult>('profile', 'looked', { job });
    expect(result.journal[0]!.reason).toMatch(/Single functions took .* at 1,769 MiB for a gradient of 4 samples \(micro-probe, \$0\.000\d+\)\./);
    expect(result.journal[0]!.reason).toContain(`by what gradients took on single functions${others} it should do best`);
    const bills = (await engine.bills()).slice(before);
    expect(result.bill.invocations).toBe(bills.length);
    expect(result.bill.billedMs).toBe(bills.reduce((sum, { billedMs }) => sum + billedMs, 0));
  });

  it('searches how gradients are compressed and cut: the winner has the weights of its own job, trained without a search', async () => {
    const { training } = jobOf();
    const model = { layers: ['flatten', { dense: 12 }, 'relu', { dense: 4 }] };
    const job = jobOf({ maxWorkers: 2, stepsPerRound: 10 }, { model, training: { ...training, steps: 20 } });
    const parameters = {
      'synchronization.compression.kind': { choice: ['none', 'bf16', 'qsgd'] },
      'synchronization.microBatches': { integer: [2, 4] },
    };
    const tune = { trials: 3, parallelism: 3, rungs: [0.5], metric: 'validation.loss', sampler: 'random', parameters };
    const record = await engine.run<RunRecord>('pipeline', 'searched', { job: { ...job, tune } });
    expect(`${record.status}: ${record.reason}`).toMatch(/^completed/);
    expect(record.trials.map(({ state }) => state)).toEqual(['complete', 'complete', 'complete']);
    expect(record.trials.slice(1).map((trial) => Object.keys(trial.parameters).sort())).toEqual(Array(2).fill(Object.keys(parameters).sort()));
    const best = record.trials.find(({ index }) => index === record.tune!.best)!;
    const { 'synchronization.compression.kind': kind = 'none', 'synchronization.microBatches': microBatches } = best.parameters;
    const synchronization = { ...(kind === 'none' ? {} : { compression: { kind } }), ...(microBatches === undefined ? {} : { microBatches }) };
    expect(await digestOf('as-found', { ...job, synchronization })).toBe(record.weightsSha256);
  });

  it('gives the same weights for micro-batches of a batch that grows on the way, and no round crosses the change', async () => {
    const { training } = jobOf();
    const growing = {
      synchronization: { microBatches: 2 },
      training: {
        ...training,
        batchSchedule: [
          { fromStep: 9, batchSize: 128 },
          { fromStep: 17, batchSize: 96 },
        ],
      },
    };
    const one = await digestOf('growing-1', jobOf({ minWorkers: 1, maxWorkers: 1 }, growing));
    expect(await digestOf('growing-3', jobOf({ minWorkers: 3, maxWorkers: 3, stepsPerRound: 5 }, growing))).toBe(one);
    expect(one).not.toBe(digests.get('one'));
    const plans = (await engine.store.list('runs/growing-1/')).filter((name) => name.endsWith('/plan'));
    const rounds = await Promise.all(
      plans.map(async (name) => JSON.parse(Buffer.from(await engine.store.get(name)).toString()) as { first: number; last: number }),
    );
    for (const { first, last } of rounds) for (const border of [9, 17]) expect(first < border && border < last).toBe(false);
  });

  it('gives the same weights for lanes that take local steps and hold some of them back, and computes what they hold again after a kill', async () => {
    const sparse = { synchronization: { compression: { kind: 'top-k', density: 0.05 }, localSteps: { steps: 2, learningRate: 0.1 } } };
    const one = await digestOf('top-k-one', jobOf({ minWorkers: 1, maxWorkers: 1, stepsPerRound: 10 }, sparse));
    expect(one).not.toBe(digests.get('one'));
    await engine.setFaults([{ function: 'smlt-train-*', payload: { worker: 1 }, nth: 1, times: 2, action: { kind: 'kill', afterMs: 60 } }]);
    const three = await digestOf('top-k-three', jobOf({ minWorkers: 3, maxWorkers: 3, stepsPerRound: 7 }, sparse));
    await engine.setFaults([]);
    expect(three).toBe(one);
  });

  it('gives the same weights when functions are killed and answers are lost', async () => {
    await engine.setFaults([
      { function: 'smlt-train-*', payload: { worker: 1 }, nth: 1, times: 2, action: { kind: 'kill', afterMs: 40 } },
      { function: 'smlt-train-*', payload: { worker: 0 }, nth: 2, action: { kind: 'killBeforeResponse' } },
      { function: 'smlt-train-*', payload: { worker: 0 }, nth: 4, action: { kind: 'throttle' } },
    ]);
    const digest = await digestOf('killed', jobOf({ minWorkers: 2, maxWorkers: 2, stepsPerRound: 6 }));
    await engine.setFaults([]);
    expect(digest).toBe(digests.get('one'));
  });

  it('gives the same weights when the Temporal worker is killed in mid-round', async () => {
    const handle = await engine.start('pipeline', 'worker-killed', { job: jobOf({ minWorkers: 2, maxWorkers: 2, stepsPerRound: 4 }) });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    engine.killWorker();
    await engine.restartWorker();
    const record = (await handle.result()) as RunRecord;
    expect(`${record.status}: ${record.reason}`).toMatch(/^completed/);
    expect(record.weightsSha256).toBe(digests.get('one'));
  });

  it('gives the same weights when the exchange is wiped in mid-round', async () => {
    const handle = await engine.start('pipeline', 'wiped', { job: jobOf({ minWorkers: 2, maxWorkers: 2, stepsPerRound: 12 }) });
    const result = handle.result() as Promise<RunRecord>;
    let wipes = 0;
    const wiping = setInterval(() => {
      void engine.exchange.list('runs/wiped/').then((names) => {
        if (names.length > 0 && wipes < 3) {
          wipes++;
          void engine.exchange.delete(names);
        }
      });
    }, 150);
    const record = await result.finally(() => clearInterval(wiping));
    expect(`${record.status}: ${record.reason}`).toMatch(/^completed/);
    expect(wipes).toBeGreaterThan(0);
    expect(record.weightsSha256).toBe(digests.get('one'));
  });

  it('charges exactly what the platform billed, failed attempts included', async () => {
    const before = await engine.bills();
    await engine.setFaults([{ function: 'smlt-train-*', payload: { worker: 0 }, nth: 1, action: { kind: 'kill', afterMs: 30 } }]);
    const record = await engine.run<RunRecord>('pipeline', 'billed', { job: jobOf({ minWorkers: 2, maxWorkers: 2, stepsPerRound: 12 }) });
    await engine.setFaults([]);
    const bills = (await engine.bills()).slice(before.length);
    const charged = Object.values(record.ledger).reduce(
      (sum, bill) => ({ invocations: sum.invocations + bill.invocations, billedMs: sum.billedMs + bill.billedMs }),
      { invocations: 0, billedMs: 0 },
    );
    expect(charged.invocations).toBe(bills.length);
    expect(charged.billedMs).toBe(bills.reduce((sum, { billedMs }) => sum + billedMs, 0));
  });

  it('charges exactly what the platform billed when workers of a chunk are throttled and killed', async () => {
    const before = await engine.bills();
    const { training } = jobOf();
    await engine.setFaults([
      { function: 'smlt-train-*', payload: { worker: 3 }, nth: 1, times: 3, action: { kind: 'throttle' } },
      { function: 'smlt-train-*', payload: { worker: 5 }, nth: 1, action: { kind: 'kill', afterMs: 30 } },
    ]);
    const job = jobOf({ minWorkers: 18, maxWorkers: 18, memoryMib: 512, stepsPerRound: 4 }, { training: { ...training, steps: 4, lanes: 32 } });
    const result = await engine.run<TrackResult>('train', 'chunk', { job });
    const counts = await engine.faultCounts();
    await engine.setFaults([]);
    expect(`${result.outcome}: ${result.reason}`).toMatch(/^completed/);
    expect(counts.map(({ fired }) => fired)).toEqual([3, 1]);
    const bills = (await engine.bills()).slice(before.length);
    expect(result.bill.invocations).toBe(bills.length);
    expect(result.bill.billedMs).toBe(bills.reduce((sum, { billedMs }) => sum + billedMs, 0));
    expect(result.bill.estimatedNanoUsd).toBe(0);
  });
});
