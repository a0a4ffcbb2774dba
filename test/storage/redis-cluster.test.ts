import { setTimeout as sleep } from 'node:timers/promises';
import type { Exchange } from '../../storage/exchange';
import { openExchange } from '../../storage/index';
import { RedisCluster } from '../../storage/redis/redis-cluster';
import { RedisKeys } from '../../storage/redis/redis-keys';
import { redisServersIn } from '../../storage/redis/redis-uri';
import { slotOf } from '../../storage/redis/slots';
import { redisServer, startRedis, type RedisServer } from '../support/redis';
import { startRedisCluster, type RedisClusterServers } from '../support/redis-cluster';
import { within } from '../support/within';

const mib = 2 ** 20;
const counted = (bytes: number, seed = 0) => Uint8Array.from({ length: bytes }, (_, i) => (seed + i * 31 + (i >> 12)) % 251);
const fault = (code: string, message: RegExp) => expect.objectContaining({ code, message: expect.stringMatching(message) });
const params = (range: number, step = 1) => `runs/r/train/abc/steps/${step}/params/${range}-${range + 1}`;
const keys = new RedisKeys('', 0);

redisServer.describe('a Redis Cluster', (binary) => {
  let cluster: RedisClusterServers;
  let exchange: Exchange;
  beforeAll(async () => void (cluster = await startRedisCluster(binary)), 30_000);
  beforeEach(async () => void (exchange = await openExchange(cluster.uri)));
  afterEach(() => exchange.close());
  afterAll(() => cluster.stop());

  it('is cut into the slots that its servers say', async () => {
    for (const key of ['', '123456789', 'a{b}c', '{}x', '{a}{b}', 'x}y{z', keys.head(params(7)), keys.chunk(params(7), 'd', 3)])
      expect([key, slotOf(key)]).toEqual([key, await cluster.masters[0]!.run('CLUSTER', 'KEYSLOT', key)]);
  });

  it('finds all masters by one node, and spreads a step over them', async () => {
    expect(exchange.shards).toBe(3);
    for (let range = 0; range < 60; range++) await exchange.putValue(params(range), [counted(100, range)]);
    const held = await Promise.all(cluster.masters.map((master) => master.run('DBSIZE')));
    for (const values of held) expect(values).toBeGreaterThan(10);
    expect(held.reduce((sum: number, values) => sum + Number(values), 0)).toBe(60);
    await exchange.delete(Array.from({ length: 60 }, (_, range) => params(range)));
  });

  it('reads and writes whole values while their slot moves, and after it', async () => {
    const name = params(1);
    const [value, changed] = [counted(3 * mib), counted(3 * mib, 1)];
    await exchange.putValue(name, [value]);
    const home = cluster.masterOf(keys.head(name));
    const away = cluster.masters.find((master) => master !== home)!;
    const slot = slotOf(keys.head(name));
    const reads = async () => expect(Buffer.compare((await exchange.get(name))!, value)).toBe(0);
    await cluster.moveSlot(slot, away, async () => {
      await reads(); // some parts are here, others there
      await exchange.putValue(name, [value]);
      await expect(exchange.putValue(name, [changed])).rejects.toEqual(fault('NotDeterministic', /./));
      expect(await exchange.present([name])).toEqual([true]);
    });
    await reads();
    expect(await exchange.waitFor([name], { timeoutMs: 0 })).toEqual([]);
    await exchange.delete([name]);
    await exchange.putValue(name, [changed]);
    expect(Buffer.compare((await exchange.get(name))!, changed)).toBe(0);
    await cluster.moveSlot(slot, home);
    await exchange.delete([name]);
  });

  it('wakes a waiter whose names lie on all masters, and one whose slot has moved meanwhile', async () => {
    const names = Array.from({ length: 12 }, (_, range) => params(range, 2));
    const other = await openExchange(cluster.uri);
    const waiting = exchange.waitFor(names, { timeoutMs: 10_000 });
    await sleep(100);
    for (const name of names.slice(1)) await other.putValue(name, [counted(10)]);
    const [home, slot] = [cluster.masterOf(keys.head(names[0]!)), slotOf(keys.head(names[0]!))];
    await cluster.moveSlot(
      slot,
      cluster.masters.find((master) => master !== home)!,
    );
    await other.putValue(names[0]!, [counted(10)]);
    expect(await within(1_500, waiting)).toEqual([]);
    await other.close();
    await cluster.moveSlot(slot, home);
  });

  it('rides out a master that is killed and comes back empty, and gives up after its patience when it stays away', async () => {
    const hasty = await RedisCluster.open(cluster.uri, { patienceMs: 600 });
    const name = params(3);
    const home = cluster.masterOf(keys.head(name));
    await exchange.putValue(name, [counted(10)]);
    await home.kill();
    try {
      await expect(hasty.putValue(name, [counted(10)])).rejects.toEqual(fault('StoreUnavailable', new RegExp(`127.0.0.1:${home.port}|CLUSTERDOWN`)));
      const putting = exchange.putValue(name, [counted(10)]);
      await sleep(300);
      await home.start();
      await putting;
    } finally {
      await hasty.close();
    }
    expect(await exchange.get(name)).toEqual(counted(10));
  }, 30_000);

  it('says which URI to write where a cluster is taken for a server, and a server for a cluster', async () => {
    const plain = await openExchange(cluster.uri.replace('+cluster', ''));
    const away = Array.from({ length: 20 }, (_, range) => params(range)).find((name) => cluster.masterOf(keys.head(name)) !== cluster.masters[0])!;
    await expect(plain.putValue(away, [counted(3)])).rejects.toEqual(fault('StoreDenied', /one node of a Redis Cluster \(MOVED.*redis\+cluster:/));
    await plain.close();
    const server = await startRedis(binary);
    const uri = server.uri.replace('redis:', 'redis+cluster:');
    await expect(openExchange(uri)).rejects.toEqual(fault('StoreDenied', /in no cluster .*write redis:/));
    await server.stop();
    await expect(openExchange(cluster.uri.replace('/0', '/1'))).rejects.toEqual(fault('InvalidSpec', /database 0 only, not 1/));
  });
});

redisServer.describe('several Redis servers', (binary) => {
  const servers: RedisServer[] = [];
  const uri = () => `redis://${servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
  beforeAll(async () => void servers.push(await startRedis(binary), await startRedis(binary), await startRedis(binary)));
  afterAll(() => Promise.all(servers.map((server) => server.stop())));

  it('share the bytes of a step of 16 workers to within a third', async () => {
    const exchange = await openExchange(uri());
    expect(exchange.shards).toBe(3);
    for (let range = 0; range < 16; range++) {
      await exchange.putValue(params(range), [counted(1_000)]);
      for (let node = 0; node < 15; node++)
        await exchange.putValue(`runs/r/train/abc/steps/1/partials/${node}-${node + 1}/${range}-${range + 1}`, [counted(1_000)]);
    }
    const held = await Promise.all(servers.map((server) => server.run('DBSIZE')));
    for (const values of held) expect(Math.abs(Number(values) - 256 / 3)).toBeLessThan(256 / 9);
    await exchange.close();
  });

  it('name the one that is away, at the start and later, while the others go on', async () => {
    const exchange = await openExchange(uri());
    await servers[1]!.kill();
    try {
      await expect(openExchange(uri())).rejects.toEqual(fault('StoreUnavailable', new RegExp(`127.0.0.1:${servers[1]!.port}: .*ECONNREFUSED`)));
      const there = await Promise.all(Array.from({ length: 12 }, (_, i) => exchange.waitFor([params(i, 5)], { timeoutMs: 0 })));
      expect(there.flat()).toHaveLength(12);
    } finally {
      await servers[1]!.start();
    }
    for (let range = 0; range < 12; range++) await exchange.putValue(params(range, 5), [counted(10)]);
    await exchange.close();
  }, 20_000);

  it('are named once each, with their options behind the last', async () => {
    expect(redisServersIn('rediss://a:1,b,[::1]:3/2?prefix=p')).toEqual([
      'rediss://a:1/2?prefix=p',
      'rediss://b/2?prefix=p',
      'rediss://[::1]:3/2?prefix=p',
    ]);
    await expect(openExchange('redis://a,b:6379,a:6379')).rejects.toEqual(fault('InvalidSpec', /a:6379 is named twice/));
    await expect(openExchange('redis://a,,b')).rejects.toEqual(fault('InvalidSpec', /expected redis:/));
    await expect(openExchange('redis://user:secret@a,b')).rejects.toEqual(fault('InvalidSpec', /credentials do not belong in the URI/));
  });
});
