import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunRecord } from '../../contracts/pipeline';
import { writeQuarters } from '../support/data';
import { startEngine, type Engine } from '../support/engine';
import { redisServer, startRedis, type RedisServer } from '../support/redis';

jest.setTimeout(120_000);

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

  const jobOf = (workers: number) => ({
    name: 'quarters',
    data: { train: dataUri },
    model: { layers: [{ conv2d: { filters: 4, kernel: 3 } }, 'relu', 'flatten', { dense: 16 }, 'relu', { dense: 4 }] },
    loss: 'softmax-cross-entropy',
    training: { steps: 24, batchSize: 64, lanes: 16, seed: 3, optimizer: { kind: 'adam', learningRate: 0.01 } },
    allocation: { minWorkers: workers, maxWorkers: workers, stepsPerRound: 12 },
  });
  async function digestOf(run: string, workers: number): Promise<string> {
    const record = await engine.run<RunRecord>('pipeline', run, { job: jobOf(workers) });
    expect(`${record.status}: ${record.reason}`).toMatch(/^completed/);
    return record.weightsSha256!;
  }
  const keys = async (): Promise<number> => Number(await redis.run('DBSIZE'));
  /** Trains, and strikes as soon as values of the run are in the server, again and again. */
  async function struck(run: string, times: number, strike: () => Promise<unknown>): Promise<string> {
    const handle = await engine.start('pipeline', run, { job: jobOf(2) });
    let running = true;
    const ended = (handle.result() as Promise<RunRecord>).finally(() => (running = false));
    let strikes = 0;
    while (running && strikes < times) {
      if ((await keys()) > 0) {
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

  it('gives the same weights as over files, for 1, 3 and 4 workers, and leaves nothing behind', async () => {
    for (const workers of [1, 3, 4]) expect(await digestOf(`redis-${workers}`, workers)).toBe(overFiles);
    expect(await keys()).toBe(0);
  });

  it('gives the same weights when everything in it is flushed in mid-round', async () => {
    expect(await struck('flushed', 3, () => redis.run('FLUSHALL'))).toBe(overFiles);
  });

  it('gives the same weights when the server is killed in mid-round and starts again, empty', async () => {
    const restart = async () => {
      await redis.kill();
      await sleep(300);
      await redis.start();
    };
    expect(await struck('restarted', 1, restart)).toBe(overFiles);
  });

  it('gives the same weights when the server is away for longer than anybody waits for it', async () => {
    const outage = async () => {
      await redis.kill();
      await sleep(13_000);
      await redis.start();
    };
    expect(await struck('away', 1, outage)).toBe(overFiles);
  });

  it('does not start on an exchange that refuses it or is not there, and says why', async () => {
    await expect(engine.restartWorker({ SMLT_EXCHANGE_URI: redis.uri, SMLT_REDIS_PASSWORD: 'wrong' })).rejects.toThrow(
      /StoreDenied: .*credentials were refused.*SMLT_REDIS_PASSWORD/,
    );
    await expect(engine.restartWorker({ SMLT_EXCHANGE_URI: 'redis://127.0.0.1:1' })).rejects.toThrow(
      /StoreUnavailable: opening the exchange at Redis 127\.0\.0\.1:1: .*ECONNREFUSED.*check the address and that the server runs/,
    );
  });
});
