import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { requireBackend, type Backend } from '../support/require';
import { s3Server, startVersitygw } from '../support/versitygw';
import { fullPath, pathOfName } from '../../storage/inbox-paths';
import { RedisKeys } from '../../storage/redis/redis-keys';
import { parseRedisUri, redisServersIn } from '../../storage/redis/redis-uri';
import { parseHybridUri } from '../../storage/hybrid-exchange';
import { startRedisCluster } from '../support/redis-cluster';
import { redisServer, startRedis, type RedisServer } from '../support/redis';

/** Somewhere that a back end can keep its bytes during a test file, and a way to damage them behind its back. */
export interface Place {
  /** A store of its own for each call. */
  uri(): string;
  /** How many names the listing test makes: several pages, in seconds. */
  readonly manyNames: number;
  /** The median of a question and its answer may take so long: two puts, two wake-ups. */
  readonly answerMs: number;
  /** How exactly the store keeps times. */
  readonly clockMs: number;
  /** Overwrites what lies under a name with other raw bytes, frame and all. */
  damage(uri: string, name: string, change: (stored: Buffer) => Uint8Array): Promise<void>;
  close(): Promise<void>;
}

const always = (open: () => Promise<Place>, name: string): Backend<() => Promise<Place>> => requireBackend(name, () => open, '');

function folderPlace(parent: string, scheme: string, pathOf: (root: string, name: string) => string): () => Promise<Place> {
  return async () => {
    const folder = mkdtempSync(join(parent, 'smlt-test-'));
    let count = 0;
    return {
      manyNames: 10_000,
      answerMs: 15,
      clockMs: 0,
      uri: () => pathToFileURL(join(folder, `store ${count++}`)).href.replace(/^file:/, `${scheme}:`),
      async damage(uri, name, change) {
        const path = pathOf(decodeURIComponent(new URL(uri).pathname), name);
        writeFileSync(path, change(readFileSync(path)));
      },
      close: async () => rmSync(folder, { recursive: true, force: true }),
    };
  };
}

/** By scheme, and what else a scheme can be: the conformance suites fail for a back end of storage/index.ts that has no place here. */
const s3Places = (keyOf: (name: string) => string): Backend<() => Promise<Place>> => ({
  found: s3Server.found === undefined ? undefined : () => s3Place(s3Server.found ?? '', keyOf),
  describe: (title, tests) => s3Server.describe(title, (binary) => tests(() => s3Place(binary, keyOf))),
});

export const objectStorePlaces: Readonly<Record<string, Backend<() => Promise<Place>>>> = {
  file: always(
    folderPlace(tmpdir(), 'file', (root, name) => join(root, name)),
    'files',
  ),
  s3: s3Places((name) => name),
};

const openMemory = folderPlace(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'tmpfs', (root, name) => fullPath(root, pathOfName(name)));

export const exchangePlaces: Readonly<Record<string, Backend<() => Promise<Place>>>> = {
  tmpfs: always(openMemory, 'tmpfs'),
  redis: redisPlace(({ uri }) => uri),
  rediss: redisPlace(({ tlsUri }) => tlsUri ?? ''),
  'redis+unix': redisPlace(({ unixUri }) => unixUri),
  'redis, 2 servers': shardsPlace(),
  'redis+cluster': clusterPlace({ masters: 3, tls: false }),
  'rediss+cluster': clusterPlace({ masters: 1, tls: true }),
  s3: s3Places((name) => fullPath('', pathOfName(name))),
  hybrid: hybridPlace(),
};

function redisPlace(uriOf: (server: RedisServer) => string): Backend<() => Promise<Place>> {
  const open = async (binary: string): Promise<Place> => {
    const server = await startRedis(binary, { tls: true });
    let count = 0;
    return {
      manyNames: 10_000,
      answerMs: 15,
      clockMs: 0,
      uri: () => `${uriOf(server)}${uriOf(server).includes('?') ? '&' : '?'}prefix=store-${count++}`,
      damage: damageAt([server]),
      close: () => server.stop(),
    };
  };
  return onRedis(open);
}

function onRedis(open: (binary: string) => Promise<Place>): Backend<() => Promise<Place>> {
  return {
    found: redisServer.found === undefined ? undefined : () => open(redisServer.found ?? ''),
    describe: (title, tests) => redisServer.describe(title, (binary) => tests(() => open(binary))),
  };
}

function damageAt(servers: readonly Pick<RedisServer, 'run'>[]): Place['damage'] {
  return async (uri, name, change) => {
    const { prefix, database } = parseRedisUri(redisServersIn(uri)[0]!);
    const key = new RedisKeys(prefix, database).head(name);
    for (const server of servers) {
      const value = await server.run('GET', key).catch(() => null); // another node's
      if (Buffer.isBuffer(value)) await server.run('SET', key, [change(value)], 'KEEPTTL');
    }
  };
}

function shardsPlace(): Backend<() => Promise<Place>> {
  return onRedis(async (binary) => {
    const servers = [await startRedis(binary), await startRedis(binary)];
    let count = 0;
    return {
      manyNames: 2_000,
      answerMs: 15,
      clockMs: 0,
      uri: () => `redis://${servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}?prefix=store-${count++}`,
      damage: damageAt(servers),
      close: async () => void (await Promise.all(servers.map((server) => server.stop()))),
    };
  });
}

function clusterPlace(options: { masters: number; tls: boolean }): Backend<() => Promise<Place>> {
  return onRedis(async (binary) => {
    const cluster = await startRedisCluster(binary, options);
    let count = 0;
    return {
      manyNames: 2_000,
      answerMs: 15,
      clockMs: 0,
      uri: () => `${cluster.uri}${cluster.uri.includes('?') ? '&' : '?'}prefix=store-${count++}`,
      damage: damageAt(cluster.masters),
      close: () => cluster.stop(),
    };
  });
}

/** Redis, with files as the lasting one: S3 has the suite for itself. */
function hybridPlace(): Backend<() => Promise<Place>> {
  const redis = redisPlace(({ uri }) => uri);
  const open = async (openHot: () => Promise<Place>): Promise<Place> => {
    const [hot, lasting] = [await openHot(), await openMemory()];
    return {
      ...hot,
      uri: () => `hybrid:${hot.uri()},${lasting.uri()}`,
      async damage(uri, name, change) {
        const inner = parseHybridUri(uri);
        await hot.damage(inner.hot, name, change);
        await lasting.damage(inner.lasting, name, change);
      },
      close: async () => void (await Promise.all([hot.close(), lasting.close()])),
    };
  };
  return {
    found: redis.found && (() => open(redis.found!)),
    describe: (title, tests) => redis.describe(title, (openHot) => tests(() => open(openHot))),
  };
}

async function s3Place(binary: string, keyOf: (name: string) => string): Promise<Place> {
  const server = await startVersitygw(binary);
  const before = { ...process.env };
  Object.assign(process.env, server.env);
  const raw = new S3Client({ endpoint: server.endpoint, region: 'us-east-1', forcePathStyle: true });
  let count = 0;
  return {
    manyNames: 1_100,
    answerMs: 150,
    clockMs: 1_000,
    uri: () => `s3://${server.bucket}/store-${count++}/deep?endpoint=${encodeURIComponent(server.endpoint)}`,
    async damage(uri, name, change) {
      const { hostname, pathname } = new URL(uri);
      const Key = `${pathname.slice(1)}/${keyOf(name)}`;
      const { Body, Metadata } = await raw.send(new GetObjectCommand({ Bucket: hostname, Key }));
      const stored = Buffer.from((await Body?.transformToByteArray()) ?? []);
      await raw.send(new PutObjectCommand({ Bucket: hostname, Key, Body: change(stored), Metadata }));
    },
    async close() {
      raw.destroy();
      process.env = before;
      await server.stop();
    },
  };
}
