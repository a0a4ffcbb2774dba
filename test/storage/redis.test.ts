import { setTimeout as sleep } from 'node:timers/promises';
import { exchangeFrames } from '../../storage/frame';
import { RedisKeys } from '../../storage/redis/redis-keys';
import { RedisExchange } from '../../storage/redis/redis-exchange';
import { parseRedisUri } from '../../storage/redis/redis-uri';
import { slotOf } from '../../storage/redis/slots';
import { RespConnection } from '../../storage/redis/resp-connection';
import { redisServer, startRedis, type RedisServer } from '../support/redis';
import { within } from '../support/within';

const mib = 2 ** 20;
const counted = (bytes: number) => Uint8Array.from({ length: bytes }, (_, i) => (i * 31 + (i >> 12)) % 251);
const fault = (code: string, message: RegExp) => expect.objectContaining({ code, message: expect.stringMatching(message) });
const params = (step: number) => `runs/r/train/abc/steps/${step}/params/0-64`;

redisServer.describe('Redis exchange against a real server', (binary) => {
  let server: RedisServer;
  const open: RedisExchange[] = [];
  const exchangeAt = async (uri: string, settings = {}) => {
    const exchange = await RedisExchange.open(uri, settings);
    open.push(exchange);
    return exchange;
  };
  beforeAll(async () => void (server = await startRedis(binary, { tls: true })));
  beforeEach(() => server.run('FLUSHALL'));
  afterEach(async () => {
    await server.run('CONFIG', 'SET', 'maxmemory', '0');
    await Promise.all(open.splice(0).map((exchange) => exchange.close()));
  });
  afterAll(() => server.stop());

  it.each([mib - 1, mib, mib + 1, 3 * mib, 5 * mib + 12_345])('gives back %d bytes as they were, into any room', async (bytes) => {
    const exchange = await exchangeAt(server.uri);
    const value = counted(bytes);
    await exchange.putValue(params(1), [value.subarray(0, 7), value.subarray(7)]);
    expect(Buffer.compare((await exchange.get(params(1)))!, value)).toBe(0);
    const into = new Uint8Array(bytes);
    expect(await exchange.getInto(params(1), into)).toBe(true);
    expect(Buffer.compare(into, value)).toBe(0);
    expect(exchange.traffic).toEqual({ bytesWritten: bytes + 24, bytesRead: 2 * (bytes + 24), puts: 1, gets: 2, requests: 3 });
    await exchange.delete([params(1)]);
    expect(await server.run('DBSIZE')).toBe(0);
  });

  it('counts a value that lacks a part, or has a cut one, as absent, so that its publisher can put it again', async () => {
    const exchange = await exchangeAt(server.uri);
    const { digest } = exchangeFrames.frameOf([counted(3 * mib)]);
    const part = new RedisKeys('', 0).chunk(params(1), digest, 2);
    for (const spoil of [
      () => server.run('DEL', part),
      () => server.run('SET', part, 'cut'),
      () => server.run('SETRANGE', part, '5000', 'changed'),
    ]) {
      await exchange.putValue(params(1), [counted(3 * mib)]);
      await spoil();
      expect(await exchange.getInto(params(1), new Uint8Array(3 * mib))).toBe(false);
      expect(await exchange.present([params(1)])).toEqual([false]);
    }
    await exchange.putValue(params(1), [counted(3 * mib)]);
    expect(await exchange.getInto(params(1), new Uint8Array(3 * mib))).toBe(true);
  });

  it('never mixes two large values under one name: one wins whole, the other is told', async () => {
    const [one, two] = [await exchangeAt(server.uri), await exchangeAt(server.uri)];
    const values = [counted(3 * mib), new Uint8Array(3 * mib).fill(9)];
    for (let step = 0; step < 5; step++) {
      const results = await Promise.allSettled([one.putValue(params(step), [values[0]!]), two.putValue(params(step), [values[1]!])]);
      const winner = results.findIndex(({ status }) => status === 'fulfilled');
      expect(results[1 - winner]).toMatchObject({ status: 'rejected', reason: { code: 'NotDeterministic' } });
      expect(Buffer.compare((await one.get(params(step)))!, values[winner]!)).toBe(0);
    }
  });

  it('lets every key die by itself, and puts the parts of a value into one slot of a cluster', async () => {
    const exchange = await exchangeAt(`${server.uri}?prefix=a`);
    await exchange.putValue(params(1), [counted(2 * mib)]);
    const keys = ((await server.run('KEYS', '*')) as Buffer[]).map(String);
    expect(keys).toHaveLength(2);
    for (const key of keys) {
      expect(key).toMatch(/^a:\{runs\/r\/train\/abc\/inbox params 1 0-64\}/);
      expect(await server.run('PTTL', key)).toBeGreaterThan(7_000_000);
    }
    expect(new Set(keys.map(slotOf)).size).toBe(1);
  });

  it('says that the memory is full, what was needed, and how much to allow', async () => {
    const exchange = await exchangeAt(server.uri);
    await server.run('CONFIG', 'SET', 'maxmemory', '3mb');
    await expect(
      (async () => {
        for (let step = 0; step < 4; step++) await exchange.putValue(params(step), [counted(mib + 100)]);
      })(),
    ).rejects.toEqual(
      fault('StoreFull', /no memory left, 1048724 bytes were needed; [\d.]+ MiB of maxmemory 3\.0 MiB are used, set it to [\d.]+ MiB or more/),
    );
    await server.run('CONFIG', 'SET', 'maxmemory', '0');
    await exchange.putValue(params(9), [counted(mib)]);
  });

  it('says who was refused: a missing password, a wrong one, a user without rights', async () => {
    await server.run('ACL', 'SETUSER', 'weak', 'on', '>pass', '~other*', '+@all');
    await server.run('CONFIG', 'SET', 'requirepass', 'secret');
    try {
      await expect(exchangeAt(server.uri)).rejects.toEqual(fault('StoreDenied', /credentials were refused \(NOAUTH.*SMLT_REDIS_PASSWORD/));
      await expect(exchangeAt(server.uri, { password: 'wrong' })).rejects.toEqual(fault('StoreDenied', /credentials were refused \(WRONGPASS/));
      await expect(exchangeAt(server.uri, { password: 'wrong' })).rejects.not.toThrow(/wrong/);
      const weak = await exchangeAt(server.uri, { username: 'weak', password: 'pass' });
      await expect(weak.putValue(params(1), [counted(3)])).rejects.toEqual(fault('StoreDenied', /access denied \(NOPERM/));
      await (await exchangeAt(server.uri, { password: 'secret' })).putValue(params(1), [counted(3)]);
    } finally {
      await resetPassword(server, 'secret');
    }
  });

  it('says that TLS failed: an unknown certificate, and a server that speaks none', async () => {
    const tlsUri = server.tlsUri!;
    await expect(exchangeAt(tlsUri.replace(/\?.*/, ''))).rejects.toEqual(fault('StoreDenied', /TLS failed \(.*certificate.*\); check/));
    await expect(exchangeAt(server.uri.replace('redis:', 'rediss:'))).rejects.toEqual(
      fault('StoreDenied', /TLS failed \(no TLS handshake after 3000 ms\)/),
    );
  }, 15_000);

  it('says that nobody answers, within seconds', async () => {
    const startMs = performance.now();
    await expect(exchangeAt('redis://127.0.0.1:1')).rejects.toEqual(fault('StoreUnavailable', /127\.0\.0\.1:1: .*ECONNREFUSED.*check the address/));
    await expect(exchangeAt('redis+unix:///no/such/socket')).rejects.toEqual(fault('StoreUnavailable', /\/no\/such\/socket/));
    expect(performance.now() - startMs).toBeLessThan(8_000);
  });

  it('rides out a server that is killed and starts again, and hears notices after it', async () => {
    const [exchange, other] = [await exchangeAt(server.uri), await exchangeAt(server.uri)];
    await exchange.putValue(params(1), [counted(10)]);
    const waiting = exchange.waitFor([params(2)], { timeoutMs: 20_000 });
    await server.kill();
    const putting = other.putValue(params(1), [counted(10)]);
    await sleep(400);
    await server.start();
    await putting;
    expect(await exchange.get(params(1))).toEqual(counted(10));
    await sleep(900); // the waiter listens again
    await other.putValue(params(2), [counted(10)]);
    expect(await within(1_000, waiting)).toEqual([]);
  });

  it('gives up after its patience, and a waiter just finds nothing', async () => {
    const exchange = await exchangeAt(server.uri, { patienceMs: 300 });
    await server.kill();
    try {
      await expect(exchange.putValue(params(1), [counted(10)])).rejects.toEqual(fault('StoreUnavailable', /writing runs\/r\/train.*ECONNREFUSED/));
      expect(await exchange.waitFor([params(1)], { timeoutMs: 100 })).toEqual([params(1)]);
    } finally {
      await server.start();
    }
  });
});

async function resetPassword(server: RedisServer, password: string): Promise<void> {
  const connection = await RespConnection.open({ host: '127.0.0.1', port: server.port, connectTimeoutMs: 1_000, silenceMs: 1_000 });
  await connection.command(['AUTH', password]);
  await connection.command(['CONFIG', 'SET', 'requirepass', '']);
  connection.close();
}

describe('URIs of Redis', () => {
  it('names host, port, database, prefix and socket', () => {
    expect(parseRedisUri('redis://cache.internal')).toEqual({
      address: { host: 'cache.internal', port: 6379 },
      database: 0,
      prefix: '',
      where: 'cache.internal:6379',
    });
    expect(parseRedisUri('rediss://cache:7000/3?prefix=team/a')).toMatchObject({
      address: { host: 'cache', port: 7000, tls: { servername: 'cache' } },
      database: 3,
      prefix: 'team/a:',
    });
    expect(parseRedisUri('redis+unix:///run/redis%201/socket?database=2')).toMatchObject({ address: { path: '/run/redis 1/socket' }, database: 2 });
  });

  it.each([
    ['redis:', /no host|not a URI/],
    ['redis://host/x', /a database is a number/],
    ['redis://host?prefix=a*b', /a prefix has letters/],
    ['redis://host?db=1', /unknown option "db"/],
    ['redis+unix://host/x', /absolute path/],
    ['rediss://host?ca=/no/such/file', /cannot be read/],
    ['redis://user:hush@host', /SMLT_REDIS_PASSWORD/],
  ])('refuses %s', (uri, message) => {
    expect(() => parseRedisUri(uri)).toThrow(fault('InvalidSpec', message));
    expect(() => parseRedisUri(uri)).not.toThrow(/hush/);
  });
});
