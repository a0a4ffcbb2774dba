import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunRecord, TrackResult } from '../../contracts/pipeline';
import { spentNanoUsd } from '../../contracts/money';
import { startEngine, type Engine } from '../support/engine';
import { writeQuarters } from '../support/data';

jest.setTimeout(180_000);
const withoutJournal = ({ journal: _journal, ...record }: RunRecord) => record;
const bestOf = (trials: RunRecord['trials']) =>
  trials.filter(({ state }) => state === 'complete').reduce((best, trial) => (trial.value! < best.value! ? trial : best)).index;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('the life of a run', () => {
  let engine: Engine;
  let data: { train: string; validation: string; test: string };
  beforeAll(async () => {
    engine = await startEngine({ functionTimeoutMs: 20_000 });
    const folder = (name: string) => join(engine.home, 'data', name);
    data = {
      train: writeQuarters(folder('train'), 512, 1),
      validation: writeQuarters(folder('validation'), 128, 2),
      test: writeQuarters(folder('test'), 128, 3),
    };
  });
  afterAll(() => engine?.close());

  const jobOf = (changes: object = {}) => ({
    name: 'quarters',
    data,
    model: { layers: ['flatten', { dense: 16 }, 'relu', { dense: 4 }] },
    loss: 'softmax-cross-entropy',
    training: { steps: 40, batchSize: 64, lanes: 16, seed: 3, optimizer: { kind: 'adam', learningRate: 0.01 } },
    allocation: { minWorkers: 2, maxWorkers: 2 },
    ...changes,
  });
  /** So long that only a stop ends it. */
  const endless = (changes: object = {}) => jobOf({ training: { ...jobOf().training, steps: 500_000 }, ...changes });

  it('profiles, tunes, trains, evaluates and deploys, and the deployed function is checked before it serves', async () => {
    const job = jobOf({
      tune: { trials: 3, parameters: { 'training.optimizer.learningRate': { logUniform: [0.003, 0.03] } } },
      evaluate: { require: { accuracy: 0.9 } },
      deploy: { name: 'quarters' },
    });
    const record = await engine.run<RunRecord>('pipeline', 'whole', { job });
    expect(record.status).toBe('completed');
    expect(Object.values(record.stages)).toEqual(['completed', 'completed', 'completed', 'completed', 'completed']);
    expect(record.metrics!.accuracy).toBeGreaterThan(0.9);
    expect(record.trials).toHaveLength(3);
    expect(record.version).toMatch(/^[0-9a-f]{12}$/);
    expect(await engine.exchange.list('runs/whole/')).toEqual([]);
    const { journal, ...stored } = JSON.parse(Buffer.from(await engine.store.get('runs/whole/record')).toString()) as RunRecord;
    expect(stored).toEqual({ ...stored, ...withoutJournal(record) });
    expect(journal.slice(-record.journal.length)).toEqual(record.journal);
    expect(record.tune).toEqual({ metric: 'validation.loss', best: bestOf(record.trials) });

    // A resume of a finished run asks for the program, which is there, and runs no stage again.
    const billed = (await engine.bills()).length;
    const again = await engine.run<RunRecord>('pipeline', 'whole', { job: { ...job, goal: { budgetUsd: 1 } }, resume: true });
    expect(again).toMatchObject({ status: 'completed', weightsSha256: record.weightsSha256, version: record.version, metrics: record.metrics });
    expect((await engine.bills()).slice(billed).map((bill) => bill.function.split('-')[1])).toEqual(['prepare']);
  });

  it('sends no payload of 2 KB or more to an activity', async () => {
    for (const id of ['whole', 'whole/profile', 'whole/tune', 'whole/tune/trial-001', 'whole/train', 'whole/evaluate', 'whole/deploy']) {
      const { events } = await engine.client.workflow.getHandle(id).fetchHistory();
      const sizes = (events ?? []).flatMap(({ activityTaskScheduledEventAttributes: scheduled }) =>
        scheduled ? [[id, scheduled.activityType!.name, scheduled.input!.payloads![0]!.data!.length] as const] : [],
      );
      expect(sizes.length).toBeGreaterThan(0);
      expect(sizes.filter(([, , bytes]) => bytes >= 2_048)).toEqual([]);
    }
  });

  it('misses its gate: nothing is deployed, and the record says by how much', async () => {
    const record = await engine.run<RunRecord>('pipeline', 'gated', {
      job: jobOf({ evaluate: { require: { accuracy: 1 } }, deploy: { name: 'never' }, training: { ...jobOf().training, steps: 2 } }),
    });
    expect(record.status).toBe('gateMissed');
    expect(record.reason).toMatch(/accuracy 0\.\d+, required at least 1/);
    expect(record.stages.deploy).toBeUndefined();
  });

  it('hears of a stop that comes while no stage runs yet', async () => {
    const handle = await engine.start('pipeline', 'stopped-early', { job: endless() });
    await handle.executeUpdate('stop');
    expect(((await handle.result()) as RunRecord).status).toBe('stopped');
  });

  it('stops as asked at its newest complete step, and nothing is billed afterwards; resume goes on from there', async () => {
    const handle = await engine.start('pipeline', 'stopped', { job: endless() });
    await soon(async () => ((await handle.query('status')) as RunRecord).stage === 'train' && (await engine.instances()).length > 0);
    await sleep(1_000);
    await handle.executeUpdate('stop');
    const record = (await handle.result()) as RunRecord;
    expect(record.status).toBe('stopped');
    expect(record.step).toBeGreaterThan(0);
    const billed = (await engine.bills()).length;
    await sleep(2_000);
    expect((await engine.bills()).length).toBe(billed);

    const again = await engine.run<RunRecord>('pipeline', 'stopped', {
      resume: true,
      job: jobOf({ training: { ...jobOf().training, steps: record.step + 20 } }),
    });
    expect(again.status).toBe('completed');
    expect(again.step).toBe(record.step + 20);
    expect(spentNanoUsd(again.ledger)).toBeGreaterThan(spentNanoUsd(record.ledger));
  });

  it('says of trials that a stop has ended that they were stopped, not that they failed', async () => {
    const tune = { trials: 2, parallelism: 2, parameters: { 'training.optimizer.learningRate': { logUniform: [0.003, 0.03] } } };
    const handle = await engine.start('pipeline', 'stopped-in-tune', { job: endless({ tune }) });
    await soon(async () => ((await handle.query('status')) as RunRecord).trials.length === 2);
    await handle.executeUpdate('stop');
    const { status, trials } = (await handle.result()) as RunRecord;
    expect({ status, states: trials.map(({ state }) => state) }).toEqual({ status: 'stopped', states: ['stopped', 'stopped'] });
  });

  it('is cancelled in order: the newest complete step is kept, and no function runs on', async () => {
    const handle = await engine.start('pipeline', 'cancelled', { job: endless() });
    await soon(async () => ((await handle.query('status')) as RunRecord).stage === 'train' && (await engine.instances()).length > 0);
    await sleep(1_000);
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow();
    expect((await handle.describe()).status.name).toBe('CANCELLED');
    const billed = (await engine.bills()).length;
    await sleep(2_000);
    expect((await engine.bills()).length).toBe(billed);
  });

  it('ends when its budget would be passed, measures what it has, and goes on when the budget is raised', async () => {
    const job = endless({ goal: { budgetUsd: 0.0012 } });
    const record = await engine.run<RunRecord>('pipeline', 'poor', { job });
    expect(['budgetExhausted', 'infeasibleGoal']).toContain(record.status);
    expect(spentNanoUsd(record.ledger)).toBeLessThanOrEqual(1_200_000);
    const richer = { ...job, goal: { budgetUsd: 0.01 }, training: { ...job.training, steps: record.step + 10 } };
    const again = await engine.run<RunRecord>('pipeline', 'poor', { resume: true, job: richer });
    expect(again.status).toBe('completed');
    expect(again.step).toBe(record.step + 10);
  });

  it('refuses a used run id with another job, and a job that is wrong, by a failure that says what and where', async () => {
    await engine.run('train', 'taken', { job: jobOf({ training: { ...jobOf().training, steps: 1 } }) });
    await expect(failureOf(engine.run('train', 'taken', { job: jobOf() }))).resolves.toMatchObject({ type: 'RunExists' });
    await expect(failureOf(engine.run('pipeline', 'wrong', { job: { ...jobOf(), loss: 'guess' } }))).resolves.toMatchObject({
      type: 'InvalidSpec',
      message: expect.stringMatching(/job\.loss/),
    });
    await expect(
      failureOf(engine.run('pipeline', 'misfit', { job: jobOf({ model: { layers: ['flatten', { dense: 5 }] } }) })),
    ).resolves.toMatchObject({ type: 'InvalidSpec' });
    // Started by hand, nobody has made URIs of a job file's paths.
    await expect(failureOf(engine.run('pipeline', 'placeless', { job: jobOf({ data: { train: 'data/train' } }) }))).resolves.toMatchObject({
      type: 'InvalidSpec',
      message: expect.stringMatching(/"data\/train", expected a URI.*\n.*job\.data\.train/),
    });
    await expect(failureOf(engine.run('pipeline', 'late', { job: jobOf({ goal: { deadline: '2020-01-01T00:00:00Z' } }) }))).resolves.toMatchObject({
      type: 'InvalidSpec',
      message: expect.stringMatching(/deadline/),
    });
  });

  it('trains past the time limit of its functions', async () => {
    const result = await engine.run<TrackResult>('train', 'long', {
      job: jobOf({ training: { ...jobOf().training, steps: 60 }, allocation: { minWorkers: 2, maxWorkers: 2, stepsPerRound: 60 } }),
    });
    expect(result.outcome).toBe('completed');
  });

  it('deletes a second time what an overtaken instance wrote after the end, once no instance can live', async () => {
    const { status } = await engine.run<RunRecord>('pipeline', 'late', { job: jobOf() });
    expect(status).toBe('completed');
    const orphans = ['runs/late/train/0123456789abcdef/checkpoints/7/params/0-1', 'runs/late/train/0123456789abcdef/steps/7/params/0-1'] as const;
    await engine.store.putValue(orphans[0], Buffer.from('late'));
    await engine.exchange.putValue(orphans[1], [Buffer.from('late')]);
    const kept = (await engine.store.list('runs/late/')).filter((name) => name !== orphans[0]);
    await soon(async () => (await engine.exchange.list('runs/late/')).length === 0);
    await soon(async () => (await engine.store.list('runs/late/')).length === kept.length);
    expect(await engine.store.list('runs/late/')).toEqual(kept);
  });

  it('starts from the Temporal CLI', () => {
    const file = join(engine.home, 'input.json');
    writeFileSync(file, JSON.stringify({ job: jobOf({ training: { ...jobOf().training, steps: 4 } }) }));
    const { stdout, stderr, status } = spawnSync(
      engine.temporalPath,
      [
        'workflow',
        'execute',
        '--address',
        engine.address,
        '--type',
        'pipeline',
        '--task-queue',
        engine.taskQueue,
        '--workflow-id',
        'from-cli',
        '--input-file',
        file,
        '--output',
        'json',
      ],
      { encoding: 'utf8', timeout: 90_000 },
    );
    expect({ status, stderr: status === 0 ? '' : stderr + stdout }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/completed/i);
  });
});

async function soon(holds: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 600; i++) {
    if (await holds().catch(() => false)) return;
    await sleep(100);
  }
  throw new Error('not within a minute');
}

/** The innermost failure of a workflow that must fail. */
async function failureOf(run: Promise<unknown>): Promise<unknown> {
  try {
    await run;
  } catch (error) {
    let inner = error as { cause?: unknown; type?: unknown; message?: unknown };
    while (typeof inner.cause === 'object' && inner.cause !== null) inner = inner.cause;
    return { type: inner.type, message: inner.message };
  }
  throw new Error('expected the workflow to fail');
}
