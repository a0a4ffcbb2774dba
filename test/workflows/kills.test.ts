import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { names } from '../../contracts/names';
import type { TrackResult } from '../../contracts/pipeline';
import type { RoundManifest } from '../../contracts/round';
import { startEngine, type Engine } from '../support/engine';
import { writeQuarters } from '../support/data';

jest.setTimeout(240_000);

/** Each leaves other names behind: nothing of the step, its state without its params, all but the checkpoint, all but the answer. */
const points = ['beforePut', 'betweenPuts', 'beforeCheckpoint', 'beforeResponse'] as const;
const STEPS = 12;
const STEPS_PER_ROUND = 4;

describe('kills at every point of a step', () => {
  let engine: Engine;
  let dataUri: string;
  let undisturbed: string[];
  beforeAll(async () => {
    engine = await startEngine({ functionTimeoutMs: 24_000 });
    dataUri = writeQuarters(join(engine.home, 'data', 'train'), 256, 1);
    undisturbed = await digestOf(engine.run<TrackResult>('train', 'undisturbed', { job: job() }));
  });
  afterAll(() => engine?.close());
  afterEach(() => engine.setFaults([]));

  const job = () => ({
    name: 'kills',
    data: { train: dataUri },
    model: { layers: ['flatten', { dense: 8 }, 'relu', { dense: 4 }] },
    loss: 'softmax-cross-entropy',
    training: { steps: STEPS, batchSize: 32, lanes: 8, seed: 3, optimizer: { kind: 'adam', learningRate: 0.01 } },
    allocation: { minWorkers: 2, maxWorkers: 2, stepsPerRound: STEPS_PER_ROUND },
  });
  /** Digests of the last round's checkpoint objects: equal cuts, so equal weights and optimiser states have equal lists. */
  async function digestOf(result: Promise<TrackResult>): Promise<string[]> {
    const { outcome, reason, weights } = await result;
    expect(`${outcome}: ${reason}`).toMatch(/^completed/);
    const manifest = JSON.parse(Buffer.from(await engine.store.get(names.manifest(weights!, weights!.round))).toString()) as RoundManifest;
    return manifest.objects.map(({ sha256 }) => sha256);
  }
  const strike = (run: string, worker: number, action: object) => ({
    function: 'smlt-train-*',
    payload: { run, worker, round: 1, track: 'train' },
    action,
  });
  const fired = async () => (await engine.faultCounts()).map((count) => count.fired);

  it('gives the same weights when an instance is killed at each point of a step', async () => {
    const runs = points.flatMap((point) => [0, 1].map((worker) => ({ point, worker, run: `instance-${point}-${worker}` })));
    await engine.setFaults(runs.map(({ point, worker, run }) => strike(run, worker, { kind: 'killAt', point })));
    const digests = await Promise.all(runs.map(async ({ run }) => [run, await digestOf(engine.run<TrackResult>('train', run, { job: job() }))]));
    expect(digests).toEqual(runs.map(({ run }) => [run, undisturbed]));
    expect(await fired()).toEqual(runs.map(() => 1));
  });

  it('gives the same weights when the Temporal worker is killed while instances are at each point of a step', async () => {
    const runs = points.map((point) => ({ point, run: `temporal-worker-${point}` }));
    await engine.setFaults(runs.map(({ point, run }) => strike(run, 1, { kind: 'holdAt', point, ms: 3_000 })));
    const results = await Promise.all(
      runs.map(async ({ run }) => (await engine.start('train', run, { job: job() })).result() as Promise<TrackResult>),
    );
    await until(async () => (await fired()).every((times) => times === 1));
    engine.killWorker();
    await engine.restartWorker();
    for (const [i, result] of results.entries()) expect([runs[i]!.run, await digestOf(Promise.resolve(result))]).toEqual([runs[i]!.run, undisturbed]);
  });

  it('goes on within the heartbeat when the Temporal worker is killed late in a chunk of many workers', async () => {
    const many = { ...job(), training: { ...job().training, batchSize: 32, lanes: 32, steps: STEPS_PER_ROUND } };
    const chunk = (steps: number) => ({ ...many, allocation: { minWorkers: 18, maxWorkers: 18, memoryMib: 256, stepsPerRound: steps } });
    const alone = await digestOf(engine.run<TrackResult>('train', 'chunk-undisturbed', { job: chunk(STEPS_PER_ROUND) }));
    // All but one worker are done or wait for it; it dies once more when the next Temporal worker drives the chunk.
    await engine.setFaults([
      { function: 'smlt-train-*', payload: { run: 'chunk', worker: 17 }, nth: 1, action: { kind: 'holdAt', point: 'beforeCheckpoint', ms: 4_000 } },
      { function: 'smlt-train-*', payload: { run: 'chunk', worker: 17 }, nth: 2, action: { kind: 'killAt', point: 'beforeResponse' } },
    ]);
    const handle = await engine.start('train', 'chunk', { job: chunk(STEPS_PER_ROUND) });
    await until(async () => (await fired())[0] === 1);
    engine.killWorker();
    await engine.restartWorker();
    const result = handle.result() as Promise<TrackResult>;
    expect(await digestOf(result)).toEqual(alone);
    expect(await fired()).toEqual([1, 1]);
    // What was flying when its driver died is charged as if it had run on until the next one began.
    expect((await result).bill.estimatedNanoUsd).toBeGreaterThan(0);
  });

  it.each([
    ['after its last checkpoint object, before its manifest', /\/train\/.*\/checkpoints\/8\//],
    ['after its manifest, before its sweep', /\/train\/rounds\/1\/manifest$/],
  ])('gives the same weights when the Temporal worker is killed in a commit: %s', async (when, sign) => {
    const run = `commit-${sign.source.includes('manifest') ? 'sweep' : 'manifest'}`;
    const handle = await engine.start('train', run, { job: job() });
    await until(async () => (await engine.store.list(`runs/${run}/`)).some((name) => sign.test(name)), 5);
    engine.killWorker();
    await engine.restartWorker();
    expect([when, await digestOf(handle.result() as Promise<TrackResult>)]).toEqual([when, undisturbed]);
  });

  it('gives a straggler a second copy when the others wait for it, pays for both, and keeps the weights', async () => {
    const before = (await engine.bills()).length;
    await engine.setFaults([
      { ...strike('straggler', 1, { kind: 'holdAt', point: 'beforePut', ms: 9_000 }), payload: { run: 'straggler', worker: 1, round: 0 } },
    ]);
    const startedAtMs = Date.now();
    const result = await engine.run<TrackResult>('train', 'straggler', { job: job() });
    expect(result.outcome).toBe('completed');
    expect(result.journal.length).toBe(STEPS / STEPS_PER_ROUND);
    const bills = (await engine.bills()).slice(before);
    expect(result.bill.invocations).toBe(bills.length);
    expect(result.bill.billedMs).toBe(bills.reduce((sum, { billedMs }) => sum + billedMs, 0));
    const history = await engine.client.workflow.getHandle('straggler').fetchHistory();
    const copies = (history.events ?? []).filter(
      ({ activityTaskScheduledEventAttributes: scheduled }) =>
        scheduled?.activityType?.name === 'invokeTrainer' &&
        Buffer.from(scheduled.input!.payloads![0]!.data!).toString().includes('"round":0,"worker":1'),
    );
    expect(copies.length).toBe(2);
    expect(Date.now() - startedAtMs).toBeGreaterThan(9_000); // its own late bill was waited for
  });
});

async function until(holds: () => Promise<boolean>, everyMs = 50, limitMs = 60_000): Promise<void> {
  for (const startedAtMs = Date.now(); Date.now() - startedAtMs < limitMs; await sleep(everyMs)) if (await holds()) return;
  throw new Error(`did not come true within ${limitMs} ms`);
}
