// One worker of bench/sync.mjs that only moves bytes, as fast as its store lets Node: what scatter-reduce writes and reads,
// in values of its size, without names to wait for, checks or notices; and what it adds up. usage: URI RANK WORKERS FLOATS [over]
// Files are new ones in every round; with `over` each is written over the last round's, whose memory the system need not find.
import { closeSync, existsSync, mkdirSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const require = createRequire(import.meta.url);
const { RespConnection } = require('../../dist/storage/redis/resp-connection.js');
const { parseRedisUri } = require('../../dist/storage/redis/redis-uri.js');
const { add, KernelMemory } = require('../../dist/training/kernels/index.js');

const [uri, ...rest] = process.argv.slice(2);
const [rank, workers, floats] = rest.map(Number);
const over = rest[3] === 'over';
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const length = Math.ceil(floats / workers);
const memory = new KernelMemory(4 * 4 * (length + 64));
const [sum, received] = [memory.floats(length), memory.floats(length)];
const bytesOf = (vector) => new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);
const partBytes = 2 ** 20;
const repliesAtOnce = 3;

function parts(vector) {
  const bytes = bytesOf(vector);
  return Array.from({ length: Math.ceil(bytes.length / partBytes) }, (_, i) => bytes.subarray(i * partBytes, (i + 1) * partBytes));
}

async function redisStore() {
  const { address } = parseRedisUri(uri);
  const redis = await RespConnection.open({ ...address, connectTimeoutMs: 3_000, silenceMs: 60_000 });
  const key = (value, part) => `raw ${rank} ${value} ${part}`;
  return {
    write: (value, vector) => Promise.all(parts(vector).map((bytes, part) => redis.command(['SET', key(value, part), [bytes]]))),
    async read(value, vector) {
      const wanted = parts(vector).entries();
      const next = async () => {
        for (const [part, bytes] of wanted) await redis.command(['GET', key(value, part)], () => [bytes]);
      };
      await Promise.all(Array.from({ length: repliesAtOnce }, next));
    },
  };
}

function filesStore() {
  const folder = new URL(uri).pathname;
  const path = (value) => join(folder, `raw ${over ? 'over ' : ''}${rank} ${value}`);
  const inFile = (name, flags, move) => {
    const file = openSync(name, flags);
    for (let at = 0; at < 4 * length;) at += move(file, at);
    closeSync(file);
  };
  return {
    async write(value, vector) {
      mkdirSync(folder, { recursive: true });
      inFile(path(value), over && existsSync(path(value)) ? 'r+' : 'w', (file, at) => writeSync(file, bytesOf(vector), at));
    },
    read: async (value, vector) => inFile(path(value), 'r', (file, at) => readSync(file, bytesOf(vector), at, 4 * length - at, at)),
    clear(value) {
      if (!over) unlinkSync(path(value));
    },
  };
}

const store = uri.startsWith('tmpfs:') ? filesStore() : await redisStore();

console.log('ready');
while (!(await lines.next()).done) {
  sum.fill(1);
  console.log('computed');
  await lines.next();
  const before = process.cpuUsage();
  // Partials out, partials in and added up, own params out, the others' in.
  for (let value = 1; value < workers; value++) await store.write(value, sum);
  for (let value = 1; value < workers; value++) {
    await store.read(value, received);
    add(sum, sum, received);
  }
  await store.write(0, received);
  for (let value = 1; value < workers; value++) await store.read(value, received);
  const { user, system } = process.cpuUsage(before);
  console.log('done');
  const requests = (3 * workers - 2) * (uri.startsWith('tmpfs:') ? 1 : parts(sum).length);
  console.log(JSON.stringify({ cpuMs: (user + system) / 1_000, right: sum[0] === workers, bytes: (3 * workers - 2) * 4 * length, requests }));
  for (let value = 0; value < workers; value++) store.clear?.(value);
}
process.exit(0);
