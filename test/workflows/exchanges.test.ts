import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { z } from 'zod';
import { unheardOfTurn } from '../../activities/lost-requests';
import { mostAfter, requestsTold, type StoreRequests } from '../../contracts/charged-requests';
import { addBills, noBill } from '../../contracts/money';
import type { RunRecord } from '../../contracts/pipeline';
import type { RoundPlan } from '../../contracts/round';
import { topologies, type Synchronization } from '../../contracts/synchronization';
import { listPrices } from '../../platforms/lambda/prices';
import { writeQuarters } from '../support/data';
import { S3ObjectStore } from '../../storage/s3/s3-object-store';
import { startEngine, type Engine } from '../support/engine';
import { redisServer, startRedis, type RedisServer } from '../support/redis';
import { openSlowLink } from '../support/slow-link';
import { s3Server, startVersitygw, type S3Server } from '../support/versitygw';

type SynchronizationInput = z.input<typeof Synchronization>;
jest.setTimeout(120_000);

const jobOf = (dataUri: string, workers: number) => ({
  name: 'quarters',
  data: { train: dataUri },
  model: { layers: [{ conv2d: { filters: 4, kernel: 3 } }, 'relu', 'flatten', { dense: 16 }, 'relu', { dense: 4 }] },
  loss: 'softmax-cross-entropy',
  training: { steps: 24, batchSize: 64, lanes: 16, seed: 3, optimizer: { kind: 'adam', learningRate: 0.01 } },
  allocation: { minWorkers: workers, maxWorkers: workers, stepsPerRound: 12 },
});
/** Trains, and strikes as soon as values of the run are in the exchange, again and again. */
async function struck(engine: Engine, { run, job, times, busy, strike }: Strikes): Promise<string> {
  const handle = await engine.start('pipeline', run, { job });
  let running = true;
  const ended = (handle.result() as Promise<RunRecord>).finally(() => (running = false));
  let strikes = 0;
  while (running && strikes < times) {
    if (await busy()) {
      await strike();
      strikes++;
    }
    await sleep(40);
  }
  const record = await ended;
  expect(`${record.status}: ${record.reason}`).toMatch(/^completed/);
  expect(strikes).toBeGreaterThan(0);
  return record.weightsSha256!;
}
interface Strikes {
  readonly run: string;
  readonly job: ReturnType<typeof jobOf>;
  readonly times: number;
  readonly busy: () => Promise<boolean>;
  readonly strike: () => Promise<unknown>;
}
async function trained(engine: Engine, run: string, job: ReturnType<typeof jobOf> & { synchronization?: SynchronizationInput }): Promise<RunRecord> {
  const record = await engine.run<RunRecord>('pipeline', run, { job });
  expect(`${record.status}: ${record.reason}`).toMatch(/^completed/);
  return record;
}

/** What each invocation has printed, by function and instance. */
function invocationLogs(engine: Engine): string[] {
  const logs = join(engine.home, 'lambda', 'logs');
  const files = readdirSync(logs, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.flatMap(({ parentPath, name }) =>
    readFileSync(join(parentPath, name), 'utf8')
      .split(/^START RequestId/m)
      .slice(1),
  );
}

redisServer.describe('training over Redis on real processes', (binary) => {
  let engine: Engine;
  let redis: RedisServer;
  let dataUri: string;
  let overFiles: string;
  beforeAll(async () => {
    [engine, redis] = await Promise.all([
      startEngine({ environment: { SMLT_REDIS_PASSWORD: 'of-the-test' } }),
      startRedis(binary, { password: 'of-the-test' }),
    ]);
    dataUri = writeQuarters(join(engine.home, 'data', 'train'), 512, 1);
    overFiles = await digestOf('over-files', 2);
    engine.killWorker();
    await engine.restartWorker({ SMLT_EXCHANGE_URI: redis.uri });
  });
  afterAll(async () => {
    await engine?.close();
    await redis?.stop();
  });

  const digestOf = async (run: string, workers: number, synchronization: SynchronizationInput = {}) =>
    (await trained(engine, run, { ...jobOf(dataUri, workers), synchronization })).weightsSha256!;
  const keys = async (): Promise<number> => Number(await redis.run('DBSIZE'));
  const struckBy = (run: string, times: number, strike: () => Promise<unknown>) =>
    struck(engine, { run, job: jobOf(dataUri, 2), times, busy: async () => (await keys()) > 0, strike });

  it('gives the same weights as over files, for 1, 3 and 4 workers, and leaves nothing behind', async () => {
    for (const workers of [1, 3, 4]) expect(await digestOf(`redis-${workers}`, workers)).toBe(overFiles);
    expect(await keys()).toBe(0);
  });

  it('gives the same weights by every topology, and in groups', async () => {
    for (const topology of topologies.filter((name) => name !== 'scatter-reduce'))
      expect([topology, await digestOf(topology, 3, { topology })]).toEqual([topology, overFiles]);
    expect(await digestOf('in-groups', 4, { groups: 2 })).toBe(overFiles);
  });

  it('writes the password nowhere: no history, plan, function or log holds it', () => {
    // Temporal's database, the functions' server with its functions and logs, the object store: all lie below this folder.
    const holding = (text: string) => spawnSync('grep', ['-rlF', text, engine.home], { encoding: 'utf8' }).stdout;
    expect(holding('redis-3')).toMatch(/temporal\.db/);
    expect(holding('of-the-test')).toBe('');
  });

  it('gives the same weights when everything in it is flushed in mid-round', async () => {
    expect(await struckBy('flushed', 3, () => redis.run('FLUSHALL'))).toBe(overFiles);
  });

  it('gives the same weights when the server is killed in mid-round and starts again, empty', async () => {
    const restart = async () => {
      await redis.kill();
      await sleep(300);
      await redis.start();
    };
    expect(await struckBy('restarted', 1, restart)).toBe(overFiles);
  });

  it('gives the same weights when the server is away for longer than anybody waits for it', async () => {
    const outage = async () => {
      await redis.kill();
      await sleep(13_000);
      await redis.start();
    };
    expect(await struckBy('away', 1, outage)).toBe(overFiles);
  });

  it('goes on over another exchange at a round’s border with the same bits, pays its rent, and leaves nothing in either', async () => {
    engine.killWorker();
    await engine.restartWorker({ SMLT_EXCHANGE_URI: `${engine.exchangeUri} ${redis.uri}`, SMLT_REDIS_USD_PER_HOUR: '3.6' });
    const { training, ...rest } = jobOf(dataUri, 2);
    const job = (exchanges?: SynchronizationInput['exchanges']) => ({
      ...rest,
      training: { ...training, steps: 120 },
      allocation: { ...rest.allocation, stepsPerRound: 4 },
      synchronization: { exchanges },
    });
    const chosen = await trained(engine, 'chosen', job());
    const handle = await engine.start('pipeline', 'moved', { job: job(['files']) });
    const stepNow = async () => ((await handle.query('status').catch(() => ({ step: 0 }))) as RunRecord).step; // not there at first
    while ((await stepNow()) < 8) await sleep(20);
    await handle.executeUpdate('stop');
    const stopped = (await handle.result()) as RunRecord;
    expect(stopped).toMatchObject({ status: 'stopped', ledger: { profile: { storeNanoUsd: 0 } } });
    const moved = await engine.run<RunRecord>('pipeline', 'moved', { job: job(['redis']), resume: true });
    expect(moved.weightsSha256).toBe(chosen.weightsSha256);
    expect(moved.ledger.train!.storeNanoUsd).toBeGreaterThan(1_000);
    const plans = (await engine.store.list('runs/moved/')).filter((name) => name.endsWith('/plan'));
    const uris = await Promise.all(
      plans.map(async (name) => (JSON.parse(Buffer.from(await engine.store.get(name)).toString()) as RoundPlan).exchangeUri),
    );
    expect(new Set(uris)).toEqual(new Set([engine.exchangeUri, redis.uri]));
    expect(await keys()).toBe(0);
    expect(await engine.exchange.list('runs/')).toEqual([]);
    await expect(engine.run('pipeline', 'elsewhere', { job: job(['s3']) })).rejects.toMatchObject({
      cause: { cause: { message: expect.stringMatching(/synchronization\.exchanges: got s3, and this deployment has files, redis/) } },
    });
  });

  it('takes an allowed lossy method where the link is slow, says why, and comes to the same bits for any number of workers', async () => {
    const link = await openSlowLink(redis.port, 5_000);
    try {
      engine.killWorker();
      await engine.restartWorker({ SMLT_EXCHANGE_URI: `redis://127.0.0.1:${link.port}/0` });
      const job = (workers: number) => ({
        ...jobOf(dataUri, workers),
        model: { layers: ['flatten', { dense: 512 }, 'relu', { dense: 64 }, 'relu', { dense: 4 }] },
        training: { steps: 10, batchSize: 64, lanes: 4, seed: 3, optimizer: { kind: 'adam', learningRate: 0.01 } },
        // One shape, so that three rounds have been seen at the same step.
        allocation: { minWorkers: workers, maxWorkers: workers, memoryMib: 1_769, stepsPerRound: 2 },
        synchronization: { allow: ['qsgd'] } as SynchronizationInput,
      });
      const four = await trained(engine, 'allowed-4', job(4));
      const told = four.journal.filter(({ reason }) => reason.startsWith('Gradients'));
      expect(told).toEqual([
        expect.objectContaining({
          first: 6,
          reason: expect.stringMatching(/^Gradients in qsgd of 8 bits: 4 workers .* instead of .* less to the end/),
        }),
      ]);
      const two = await trained(engine, 'allowed-2', job(2));
      expect(two.weightsSha256).toBe(four.weightsSha256);
    } finally {
      await link.close();
    }
  });

  it('does not start on an exchange that refuses it or is not there, and says why', async () => {
    await expect(engine.restartWorker({ SMLT_EXCHANGE_URI: redis.uri, SMLT_REDIS_PASSWORD: 'wrong' })).rejects.toThrow(
      /StoreDenied: .*credentials were refused.*SMLT_REDIS_PASSWORD/,
    );
    await expect(engine.restartWorker({ SMLT_EXCHANGE_URI: `${redis.uri} redis://127.0.0.1:1` })).rejects.toThrow(/two exchanges of kind redis/);
    await expect(engine.restartWorker({ SMLT_EXCHANGE_URI: 'redis://127.0.0.1:1' })).rejects.toThrow(
      /StoreUnavailable: opening the exchange at Redis 127\.0\.0\.1:1: .*ECONNREFUSED.*check the address and that the server runs/,
    );
  });
});

s3Server.describe('training over S3 on real processes', (binary) => {
  let engine: Engine;
  let server: S3Server;
  let dataUri: string;
  let overFiles: string;
  let exchangeUri: string;
  beforeAll(async () => {
    server = await startVersitygw(binary);
    exchangeUri = `s3://${server.bucket}/exchange?region=us-east-1&endpoint=${encodeURIComponent(server.endpoint)}`;
    engine = await startEngine({ environment: server.env as Record<string, string> });
    dataUri = writeQuarters(join(engine.home, 'data', 'train'), 512, 1);
    overFiles = (await trained(engine, 'over-files', jobOf(dataUri, 2))).weightsSha256!;
    engine.killWorker();
    await engine.restartWorker({ SMLT_EXCHANGE_URI: exchangeUri });
  });
  afterAll(async () => {
    await engine?.close();
    await server?.stop();
  });
  const values = () =>
    readdirSync(server.folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name))
      .filter((path) => path.startsWith(join(server.folder, 'exchange/')));

  it('gives the same weights as over files, charges its requests, and leaves nothing behind', async () => {
    const record = await trained(engine, 's3-3', jobOf(dataUri, 3));
    expect(record.weightsSha256).toBe(overFiles);
    // 24 steps of three workers, each with two puts at least.
    expect(record.ledger.train?.storeNanoUsd).toBeGreaterThan(24 * 3 * 2 * listPrices.x64.usdPerPut * 1e9);
    expect(values()).toEqual([]);
  });

  it('gives the same weights when objects are lost and the server is killed in mid-round', async () => {
    let strikes = 0;
    const strike = async () => {
      for (const path of values()) rmSync(path, { force: true });
      if (strikes++ !== 1) return;
      await server.kill();
      await sleep(300);
      await server.start();
    };
    const busy = async () => values().length > 0;
    expect(await struck(engine, { run: 'struck', job: jobOf(dataUri, 2), times: 3, busy, strike })).toBe(overFiles);
  });

  it('gives the same weights when the server is away for longer than anybody waits for it', async () => {
    const outage = async () => {
      await server.kill();
      await sleep(13_000);
      await server.start();
    };
    expect(await struck(engine, { run: 'away', job: jobOf(dataUri, 2), times: 1, busy: async () => values().length > 0, strike: outage })).toBe(
      overFiles,
    );
  });

  it('pays for every request of every function, also of those that died: the ledger is the sum of their logs', async () => {
    engine.killWorker();
    const storeUri = exchangeUri.replace('/exchange', '/store');
    await engine.restartWorker({ SMLT_EXCHANGE_URI: exchangeUri, SMLT_STORE_URI: storeUri });
    const before = new Set(invocationLogs(engine));
    const dies = (payload: object, point: string) => ({ function: 'smlt-train-*', payload, nth: 1, action: { kind: 'killAt', point } });
    await engine.setFaults([
      dies({ run: 'paid', track: 'trial-000', worker: 1, round: 0 }, 'beforeCheckpoint'),
      dies({ run: 'paid', track: 'train', worker: 0 }, 'beforeResponse'),
    ]);
    const { training, allocation, ...job } = jobOf(dataUri, 2);
    const record = await trained(engine, 'paid', { ...job, training: { ...training, steps: 8 }, allocation: { ...allocation, stepsPerRound: 4 } });
    expect((await engine.faultCounts()).map(({ fired }) => fired)).toEqual([1, 1]);
    const paid = Object.values(record.ledger).reduce(addBills, noBill);
    const told = invocationLogs(engine)
      .filter((log) => !before.has(log))
      .map((log) => requestsTold(log)!);
    expect(told).not.toContain(undefined);
    expect(told.filter(({ all }) => !all)).toHaveLength(2);
    const nanoUsd = ({ puts, gets }: StoreRequests) => Math.round(1e9 * (puts * listPrices.x64.usdPerPut + gets * listPrices.x64.usdPerGet));
    const priced = told.map(({ told: requests, all }) => nanoUsd(all ? requests : mostAfter(requests)));
    expect(paid.invocations).toBe(told.length);
    expect(paid.storeNanoUsd).toBe(priced.reduce((sum, one) => sum + one, 0));
    expect(record.ledger.evaluate!.storeNanoUsd).toBeGreaterThan(0);
    const guessed = priced.filter((_, i) => !told[i]!.all).reduce((sum, one) => sum + one, 0);
    expect(paid.estimatedNanoUsd).toBe(guessed);
    // Where no log comes back either, a turn is charged more than any of these has asked for.
    const store = new S3ObjectStore(storeUri, { credentials: { accessKeyId: 'test', secretAccessKey: 'testsecret' } });
    const most = await unheardOfTurn(store, { run: 'paid', track: 'train', round: 0 }, 0)(1_000);
    for (const { told: requests } of told) for (const kind of ['puts', 'gets'] as const) expect(most[kind]).toBeGreaterThanOrEqual(requests[kind]);
  });

  redisServer.describe('with a hot Redis before it', (redisBinary) => {
    let redis: RedisServer;
    beforeAll(async () => {
      redis = await startRedis(redisBinary);
      engine.killWorker();
      await engine.restartWorker({ SMLT_EXCHANGE_URI: `hybrid:${redis.uri},${exchangeUri}` });
    });
    afterAll(() => redis?.stop());
    const keys = async (): Promise<number> => Number(await redis.run('DBSIZE'));

    it('gives the same weights when Redis is flushed, then killed in mid-round, and leaves nothing in either', async () => {
      let strikes = 0;
      const strike = async () => {
        if (strikes++ !== 1) return redis.run('FLUSHALL');
        await redis.kill();
        await sleep(300);
        return redis.start();
      };
      expect(await struck(engine, { run: 'hybrid', job: jobOf(dataUri, 3), times: 3, busy: async () => (await keys()) > 0, strike })).toBe(overFiles);
      expect(await keys()).toBe(0);
      expect(values()).toEqual([]);
    });
  });

  it('does not start on a bucket that is not there, and says why', async () => {
    await expect(engine.restartWorker({ SMLT_EXCHANGE_URI: exchangeUri.replace(server.bucket, 'no-such-bucket') })).rejects.toThrow(
      /StoreDenied: opening the exchange at http:.*there is no bucket 'no-such-bucket'; create it/,
    );
  });
});
