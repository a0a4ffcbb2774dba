import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SmltError } from '../contracts/errors';
import type { Exchange } from './exchange';
import { FilesObjectStore } from './files/files-object-store';
import { TmpfsExchange } from './files/tmpfs-exchange';
import { HybridExchange, parseHybridUri } from './hybrid-exchange';
import type { ObjectStore } from './object-store';
import type * as Redis from './redis/redis-exchange';
import type * as RedisClusters from './redis/redis-cluster';
import type * as RedisShards from './redis/redis-shards';
import type * as S3Exchanges from './s3/s3-exchange';
import type * as S3 from './s3/s3-object-store';

export type { Exchange, ExchangeTraffic, Taker, Taking, WaitOptions, Wanted } from './exchange';
export type { ObjectInfo, ObjectStore } from './object-store';
export { sha256Hex } from './digest';

export const objectStores: Readonly<Record<string, (uri: string) => Promise<ObjectStore>>> = {
  file: async (uri) => FilesObjectStore.open(pathIn(uri, 'file:///path/to/folder')),
  s3: async (uri) => {
    // Loaded when a URI asks for it: a function that reads files must not pay for the SDK's start.
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    const { S3ObjectStore } = require('./s3/s3-object-store') as typeof S3;
    return new S3ObjectStore(uri);
  },
};

export const exchanges: Readonly<Record<string, (uri: string) => Promise<Exchange>>> = {
  tmpfs: async (uri) => {
    const path = uri === 'tmpfs:' ? sharedMemoryFolder() : pathIn(uri, 'tmpfs: or tmpfs:///path/to/folder');
    return TmpfsExchange.open(path);
  },
  redis: openRedis,
  rediss: openRedis,
  'redis+unix': openRedis,
  'redis+cluster': openRedisCluster,
  'rediss+cluster': openRedisCluster,
  s3: async (uri) => {
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    const { S3Exchange } = require('./s3/s3-exchange') as typeof S3Exchanges;
    return S3Exchange.open(uri);
  },
  hybrid: async (uri) => {
    const { hot, lasting } = parseHybridUri(uri);
    const first = await openExchange(hot);
    try {
      return new HybridExchange(uri, first, await openExchange(lasting));
    } catch (error) {
      await first.close();
      throw error;
    }
  },
};

/** One server, or several with commas between them. */
async function openRedis(uri: string): Promise<Exchange> {
  if (/^rediss?:\/\/[^/?]*,/.test(uri)) {
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    const { openRedisShards } = require('./redis/redis-shards') as typeof RedisShards;
    return openRedisShards(uri);
  }
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const { RedisExchange } = require('./redis/redis-exchange') as typeof Redis;
  return RedisExchange.open(uri);
}

async function openRedisCluster(uri: string): Promise<Exchange> {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const { RedisCluster } = require('./redis/redis-cluster') as typeof RedisClusters;
  return RedisCluster.open(uri);
}

/** Opens the object store that a URI names. @throws {SmltError} `InvalidSpec` when no back end knows it */
export async function openObjectStore(uri: string): Promise<ObjectStore> {
  return backEnd(uri, 'object store', objectStores)(uri);
}

/** Opens the exchange that a URI names. Close it when done. @throws {SmltError} `InvalidSpec` when no back end knows it */
export async function openExchange(uri: string): Promise<Exchange> {
  return backEnd(uri, 'exchange', exchanges)(uri);
}

function backEnd<T>(uri: string, what: string, backEnds: Readonly<Record<string, (uri: string) => Promise<T>>>): (uri: string) => Promise<T> {
  const scheme = /^([a-z][a-z0-9+.-]*):/.exec(uri)?.[1];
  const open = scheme !== undefined && Object.hasOwn(backEnds, scheme) ? backEnds[scheme] : undefined;
  if (open !== undefined) return open;
  const known = Object.keys(backEnds).map((name) => `${name}:`);
  throw new SmltError('InvalidSpec', `${what} ${JSON.stringify(uri)}: expected a URI that begins with ${known.join(' or ')}`);
}

function pathIn(uri: string, expected: string): string {
  try {
    const url = new URL(uri.replace(/^[a-z]+:/, 'file:'));
    if (!/^[a-z]+:\/\/\/./.test(uri) || url.search !== '' || url.hash !== '') throw new Error('no absolute path, or more than a path');
    return fileURLToPath(url).replace(/(?<=.)\/+$/, '');
  } catch (error) {
    throw new SmltError('InvalidSpec', `store ${JSON.stringify(uri)}: expected ${expected}, with an absolute path`, { cause: error });
  }
}

/** Memory where the system has a file system for it. The user is in the name: two users must not share a folder. */
function sharedMemoryFolder(): string {
  return join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), `smlt-${process.getuid?.() ?? 'user'}`);
}
