// One worker of bench/sync.mjs that only moves bytes, as fast as its store lets Node: what scatter-reduce writes and reads,
// in values of its size, without names to wait for, checks or notices; and what it adds up. usage: URI RANK WORKERS FLOATS [over]
// Files are new ones in every round; with `over` each is written over the last round's, whose memory the system need not find.
import { closeSync, existsSync, mkdirSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { nextLine } from './lines.mjs';

const require = createRequire(import.meta.url);
const { HttpPool } = require('../../dist/storage/http/http-pool.js');
const { RespConnection } = require('../../dist/storage/redis/resp-connection.js');
const { parseRedisUri } = require('../../dist/storage/redis/redis-uri.js');
const { encodeKey, signS3, UNSIGNED } = require('../../dist/storage/s3/sigv4.js');
const { add, KernelMemory } = require('../../dist/training/kernels/index.js');

const [uri, ...rest] = process.argv.slice(2);
const [rank, workers, floats] = rest.map(Number);
const over = rest[3] === 'over';
const length = Math.ceil(floats / workers);
const memory = new KernelMemory(4 * (workers + 2) * (length + 64));
const sum = memory.floats(length);
const received = Array.from({ length: workers }, () => memory.floats(length));
const bytesOf = (vector) => new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);
const partBytes = 2 ** 20;
const repliesAtOnce = 3;

function parts(vector) {
  const bytes = bytesOf(vector);
  return Array.from({ length: Math.ceil(bytes.length / partBytes) }, (_, i) => bytes.subarray(i * partBytes, (i + 1) * partBytes));
}

async function redisStore() {
  const { address } = parseRedisUri(uri);
  const redis = await RespConnection.open({ ...address, connectTimeoutMs: 3_000, silenceMs: 600_000 });
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

/** Plain PUT and GET of whole objects, over connections that are kept. */
function s3Store() {
  const { hostname: bucket, searchParams } = new URL(uri);
  const { host, hostname, port } = new URL(searchParams.get('endpoint'));
  const pool = new HttpPool({ host: hostname, port: Number(port), secure: false, silenceMs: 10_000 }, 64);
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = process.env;
  const signer = { credentials: { accessKeyId, secretAccessKey }, region: searchParams.get('region') };
  const send = async (method, value, vector) => {
    const path = `/${bucket}/${encodeKey(`raw ${rank} ${value}`)}`;
    const headers = signS3({ method, path, query: '', headers: { host }, payload: UNSIGNED }, signer, Date.now());
    if (method === 'PUT') headers['content-length'] = 4 * length;
    const lines = Object.entries(headers).map(([name, header]) => `${name}: ${header}\r\n`);
    const bytes = [bytesOf(vector)];
    const call = { method, head: `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, body: method === 'PUT' ? bytes : [] };
    const { status } = await pool.send(method === 'GET' ? { ...call, room: () => bytes } : call);
    if (status !== 200) throw new Error(`${method}: ${status}`);
  };
  return { write: (value, vector) => send('PUT', value, vector), read: (value, vector) => send('GET', value, vector) };
}

const stores = { tmpfs: filesStore, s3: s3Store };
const kind = uri.slice(0, uri.indexOf(':'));
const store = await (stores[kind] ?? redisStore)();
/** One after the other, where a value's parts are on their way together anyway; objects all at once. */
async function forOthers(work) {
  const others = Array.from({ length: workers - 1 }, (_, i) => i + 1);
  if (kind === 's3') await Promise.all(others.map(work));
  else for (const value of others) await work(value);
}

console.log('ready');
while (nextLine() !== undefined) {
  sum.fill(1);
  console.log('computed');
  nextLine();
  const before = process.cpuUsage();
  // Partials out, partials in and added up, own params out, the others' in.
  await forOthers((value) => store.write(value, sum));
  await forOthers((value) => store.read(value, received[value]));
  for (let value = 1; value < workers; value++) add(sum, sum, received[value]);
  await store.write(0, received[1]);
  await forOthers((value) => store.read(value, received[value]));
  const { user, system } = process.cpuUsage(before);
  console.log('done');
  const requests = (3 * workers - 2) * (kind in stores ? 1 : parts(sum).length);
  console.log(JSON.stringify({ cpuMs: (user + system) / 1_000, right: sum[0] === workers, bytes: (3 * workers - 2) * 4 * length, requests }));
  for (let value = 0; value < workers; value++) store.clear?.(value);
}
process.exit(0);
