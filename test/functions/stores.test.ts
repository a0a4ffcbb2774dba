/** @jest-environment ./test/support/native-arrays.ts */
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cutOf } from '../../contracts/cut';
import { stepTraffic } from '../../contracts/step-traffic';
import { readProgram } from '../../functions/program';
import { RedisKeys } from '../../storage/redis/redis-keys';
import { slotOf } from '../../storage/redis/slots';
import { startRedisCluster } from '../support/redis-cluster';
import { redisServer, startRedis, type RedisServer } from '../support/redis';
import { requireBackend } from '../support/require';
import { s3Server, startVersitygw } from '../support/versitygw';
import { Rig, stepOf, type RigOptions } from './rig';

jest.setTimeout(60_000);
const WORKERS = 3;
const STEPS = 12;
const options: RigOptions = { lanes: 8, batchSize: 16 };

interface StoreUnderTest {
  readonly uri: string;
  /** Of everything in it, as it is stored. */
  bytes(): Promise<number>;
  close(): Promise<void>;
}

function bytesUnder(folder: string): number {
  let sum = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) sum += statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0;
  return sum;
}
async function bytesIn(server: RedisServer): Promise<number> {
  const script = "local n = 0 for _, key in ipairs(redis.call('KEYS', '*')) do n = n + redis.call('STRLEN', key) end return n";
  return Number(await server.run('EVAL', script, '0'));
}

const openFiles = async (): Promise<StoreUnderTest> => {
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'smlt-stores-'));
  return { uri: `tmpfs://${folder}`, bytes: async () => bytesUnder(folder), close: async () => rmSync(folder, { recursive: true, force: true }) };
};
const openRedis = async (binary: string): Promise<StoreUnderTest> => {
  const server = await startRedis(binary);
  return { uri: server.uri, bytes: () => bytesIn(server), close: () => server.stop() };
};
const openS3 = async (binary: string): Promise<StoreUnderTest> => {
  const server = await startVersitygw(binary);
  Object.assign(process.env, server.env);
  const uri = `s3://${server.bucket}/exchange?region=us-east-1&endpoint=${encodeURIComponent(server.endpoint)}`;
  return { uri, bytes: async () => bytesUnder(server.folder), close: () => server.stop() };
};
const openHybrid = async (binary: string): Promise<StoreUnderTest> => {
  const [hot, lasting] = [await openRedis(binary), await openFiles()];
  return {
    uri: `hybrid:${hot.uri},${lasting.uri}`,
    bytes: async () => (await hot.bytes()) + (await lasting.bytes()),
    close: async () => void (await Promise.all([hot.close(), lasting.close()])),
  };
};

/** The bytes of one step's values, counted once each. */
async function bytesOfStep(rig: Rig): Promise<number> {
  const { paramCount, bufferCount } = await readProgram(rig.store, rig.programDigest);
  const cut = cutOf({ topology: 'scatter-reduce', lanes: options.lanes!, paramCount, workers: WORKERS });
  const byWorker = stepTraffic({ topology: 'scatter-reduce', cut, lanes: options.lanes!, paramCount, bufferCount, slots: 2 });
  return byWorker.reduce((sum, { bytesWritten }) => sum + bytesWritten, 0);
}

function itKeepsToLiveSteps(open: () => Promise<StoreUnderTest>): void {
  it('keeps what is in the store to the live steps, and gives the bits of one worker', async () => {
    const store = await open();
    const rig = await Rig.open({ ...options, exchangeUri: store.uri });
    try {
      const alone = rig.track('alone');
      await alone.round({ workers: 1, steps: STEPS });
      const track = rig.track('together');
      let peak = 0;
      let running = true;
      const training = track.round({ workers: WORKERS, steps: STEPS }).finally(() => (running = false));
      while (running) {
        peak = Math.max(peak, await store.bytes());
        await sleep(1);
      }
      await training;
      expect(await track.weightsSha256()).toBe(await alone.weightsSha256());
      const step = await bytesOfStep(rig);
      expect(peak).toBeGreaterThan(step);
      // The step under way, the complete one, one of slack, and one that the fastest is ahead; not all twelve.
      expect(peak / step).toBeLessThan(4.5);
    } finally {
      await rig.close();
      await store.close();
    }
  });
}

requireBackend('tmpfs', () => 'here', '').describe('training over files', () => itKeepsToLiveSteps(openFiles));
redisServer.describe('training over Redis', (binary) => itKeepsToLiveSteps(() => openRedis(binary)));
s3Server.describe('training over S3', (binary) => itKeepsToLiveSteps(() => openS3(binary)));
redisServer.describe('training over a hybrid exchange', (binary) => {
  itKeepsToLiveSteps(() => openHybrid(binary));

  it('goes on from the newest complete step when the hot store loses everything', async () => {
    const [redis, files] = [await startRedis(binary), await openFiles()];
    const rig = await Rig.open({ ...options, exchangeUri: `hybrid:${redis.uri},${files.uri}` });
    try {
      const alone = rig.track('alone');
      await alone.round({ workers: 1, steps: STEPS });
      const track = rig.track('flushed');
      const putsOf = new Map<string, number>();
      let flushed = false;
      const put = rig.exchange.putValue.bind(rig.exchange);
      jest.spyOn(rig.exchange, 'putValue').mockImplementation(async (name, ...rest) => {
        putsOf.set(name, (putsOf.get(name) ?? 0) + 1);
        await put(name, ...rest);
        if (flushed || !/\/steps\/9\/params\//.test(name)) return;
        flushed = true;
        await redis.run('FLUSHALL');
      });
      await track.round({ workers: WORKERS, steps: STEPS });
      expect(flushed).toBe(true);
      expect(await track.weightsSha256()).toBe(await alone.weightsSha256());
      const again = [...putsOf].filter(([, count]) => count > 1).map(([name]) => stepOf(name));
      expect(Math.min(Infinity, ...again)).toBeGreaterThanOrEqual(7);
    } finally {
      await rig.close();
      await Promise.all([redis.stop(), files.close()]);
    }
  });
});

redisServer.describe('training over a Redis Cluster', (binary) => {
  it('gives the same bits when a slot moves in its middle and a master is killed and comes back empty', async () => {
    const cluster = await startRedisCluster(binary);
    const rig = await Rig.open({ ...options, exchangeUri: cluster.uri });
    try {
      const alone = rig.track('alone');
      await alone.round({ workers: 1, steps: STEPS });
      const track = rig.track('together');
      const happened: string[] = [];
      const once = async (what: string, happen: () => Promise<void>) => {
        if (happened.includes(what)) return;
        happened.push(what);
        await happen();
      };
      const put = rig.exchange.putValue.bind(rig.exchange);
      jest.spyOn(rig.exchange, 'putValue').mockImplementation(async (name, ...rest) => {
        await put(name, ...rest);
        const key = new RedisKeys('', 0).head(name);
        const home = cluster.masterOf(key);
        if (/\/steps\/4\/params\//.test(name))
          await once('moved', () =>
            cluster.moveSlot(
              slotOf(key),
              cluster.masters.find((master) => master !== home)!,
            ),
          );
        if (/\/steps\/8\/params\//.test(name))
          await once('killed', async () => {
            await home.kill();
            await home.start();
          });
      });
      await track.round({ workers: WORKERS, steps: STEPS });
      expect(happened).toEqual(['moved', 'killed']);
      expect(await track.weightsSha256()).toBe(await alone.weightsSha256());
    } finally {
      await rig.close();
      await cluster.stop();
    }
  });
});
