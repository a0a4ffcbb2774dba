// How long workers take to add up a gradient through a store and to share what comes of it: the product's own step, its
// topologies and stores, the stores' raw speed, and LambdaML's algorithm on the same Redis. Systems take turns, round by round.
// usage: npm run bench:sync [-- --workers 2,4 --mb 1,10 --topologies scatter-reduce --stores redis,tmpfs --rounds 9 --full --json]
// The peer needs `python3 -m venv .cache/peers && .cache/peers/bin/pip install redis numpy boto3`, or `--python PATH`; without it
// smlt runs alone. A cell is skipped, by name, when it moves more than 8 GB a round or a store would hold more than 12 GB.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { endAll, startRedis, startS3, startTeam } from './sync/team.mjs';

const require = createRequire(import.meta.url);
const { cutOf } = require('../dist/contracts/cut.js');
const { stepTraffic } = require('../dist/contracts/step-traffic.js');
const { topologies } = require('../dist/contracts/synchronization.js');
const here = dirname(fileURLToPath(import.meta.url));
const cache = join(here, '..', '.cache');
const text = (value) => ({ type: 'string', default: value });
const { values: options } = parseArgs({
  options: {
    workers: text('2,4,8,16'),
    mb: text('1,10,50,200'),
    topologies: text(topologies.join(',')),
    stores: text('redis,redis-unix,tmpfs,s3'),
    rounds: { type: 'string' },
    full: { type: 'boolean' },
    python: text(join(cache, 'peers/bin/python')),
    json: { type: 'boolean' },
  },
});
const numbers = (list) => list.split(',').map(Number);
const MOST_MOVED = 8e9;
const MOST_STORED = 12e9;
const MOST_S3_MB = 50;
/** The published code sends every value at every poll: minutes, to no end. */
const MOST_PUBLISHED_MB = 10;

const work = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'smlt-sync-'));
const files = join(work, 'exchange');
const redis = await startRedis(work, cache);
const s3 = options.stores.split(',').includes('s3') ? await startS3(work, cache) : undefined;
const uris = { redis: `redis://127.0.0.1:${redis.port}`, 'redis-unix': `redis+unix://${redis.socket}`, tmpfs: `tmpfs://${files}`, s3: s3?.uri };
/** What serves a store: its CPU time counts, and it is cleared between rounds. */
const serverOf = {
  redis,
  'redis-unix': redis,
  tmpfs: { cpuMs: () => 0, clear: () => undefined }, // workers delete their files, as in a run
  s3,
};
const chosen = options.stores.split(',').filter((store) => store !== 's3' || s3 !== undefined);
if (options.stores.includes('s3') && !s3) console.error('without S3: versitygw is not installed (CONTRIBUTING.md)');
for (const store of chosen) if (!(store in uris)) throw new Error(`--stores ${store}: expected some of ${Object.keys(uris).join(',')}`);
const imports = (names) => existsSync(options.python) && spawnSync(options.python, ['-c', `import ${names}`]).status === 0;
const hasPeer = imports('redis, numpy');
const hasBoto = imports('boto3');
if (!hasPeer) console.error('without LambdaML: see the head of bench/sync.mjs');

const rows = [];
try {
  for (const workers of numbers(options.workers)) for (const mb of numbers(options.mb)) rows.push(...(await cell(workers, mb)));
} finally {
  endAll();
  rmSync(work, { recursive: true, force: true });
}
if (options.json) console.log(JSON.stringify(rows));
else console.table(rows);
process.exit(0);

/** What may run in a shape: name, how a worker is started, and what it is compared with. */
function systemsOf(workers, mb) {
  const floats = Math.floor((mb * 1e6) / 4);
  const systems = [];
  for (const store of chosen) {
    const node =
      (script, ...more) =>
      (rank) => [process.execPath, [join(here, 'sync', script), uris[store], rank, workers, floats, ...more]];
    for (const topology of options.topologies.split(',')) {
      const cut = cutOf({ topology, lanes: workers, paramCount: floats, workers });
      const traffic = stepTraffic({ topology, cut, lanes: workers, paramCount: floats, bufferCount: 0, slots: 0 });
      const stored = traffic.reduce((sum, { bytesWritten }) => sum + bytesWritten, 0);
      const moved = stored + traffic.reduce((sum, { bytesRead }) => sum + bytesRead, 0);
      const system = `${store}, ${topology}`;
      if (moved > MOST_MOVED) console.error(`skipped: ${workers} workers, ${mb} MB, ${system}: moves ${gb(moved)} GB, more than 8`);
      else if (stored > MOST_STORED) console.error(`skipped: ${workers} workers, ${mb} MB, ${system}: stores ${gb(stored)} GB, more than 12`);
      else if (store === 's3' && mb > MOST_S3_MB) console.error(`skipped: ${workers} workers, ${mb} MB, ${system}: more than ${MOST_S3_MB} MB`);
      else systems.push({ system, store, topology, moved, commandOf: node('worker.mjs', topology) });
    }
    const moved = (3 * workers - 2) * mb * 1e6;
    if (moved <= MOST_MOVED && (store !== 's3' || mb <= MOST_S3_MB))
      systems.push({ system: `${store}, raw`, store, topology: 'raw', moved, commandOf: node('raw.mjs') });
    if (store === 'tmpfs')
      systems.push({ system: 'tmpfs, raw over old files', store, topology: 'raw over', moved, commandOf: node('raw.mjs', 'over') });
  }
  const moved = (3 * workers - 2) * mb * 1e6;
  const peer =
    (place, listing = 'keys') =>
    (rank) => [options.python, [join(here, 'peers/lambdaml_scatter_reduce.py'), place, rank, workers, floats, listing]];
  if (hasPeer && moved <= MOST_MOVED) {
    const onRedis = `redis://127.0.0.1:${redis.port}`;
    systems.push({ system: 'LambdaML, lists keys', store: 'redis', topology: 'LambdaML', moved, commandOf: peer(onRedis) });
    if (mb <= MOST_PUBLISHED_MB)
      systems.push({ system: 'LambdaML, as published', store: 'redis', topology: 'published', moved, commandOf: peer(onRedis, 'values') });
    if (s3 && hasBoto && mb <= MOST_S3_MB)
      systems.push({ system: 'LambdaML on S3', store: 's3', topology: 'LambdaML', moved, commandOf: peer(s3.endpoint) });
  }
  return systems;
}

/** One shape: every system once, then every system again; the first rounds only warm up. */
async function cell(workers, mb) {
  const systems = systemsOf(workers, mb);
  const moved = systems.reduce((sum, system) => sum + system.moved, 0);
  const rounds = Number(options.rounds ?? Math.max(3, Math.min(9, Math.round(3e10 / moved))) * (options.full ? 3 : 1));
  const warmUp = moved > 1e10 ? 1 : mb > 1 ? 5 : 20;
  for (const system of systems) {
    system.team = await startTeam(workers, system.commandOf);
    system.rounds = [];
  }
  for (let round = 0; round < rounds + warmUp; round++)
    for (const system of systems) {
      const server = serverOf[system.store];
      const before = server.cpuMs();
      const { ms, reports } = await system.team.round(round);
      const serverMs = server.cpuMs() - before;
      if (!reports.every(({ right }) => right)) throw new Error(`${system.system}: wrong sum`);
      const total = (of) => reports.reduce((sum, report) => sum + of(report), 0);
      const cpuMs = total((report) => report.cpuMs);
      if (round >= warmUp)
        system.rounds.push({
          ms,
          cpuMs,
          serverMs,
          allMs: cpuMs + serverMs,
          bytes: total(({ bytes }) => bytes),
          requests: total(({ requests }) => requests),
        });
      server.clear();
    }
  for (const { team } of systems) await team.end();
  rmSync(files, { recursive: true, force: true }); // the next shape has other values under these names
  return systems.map((system) => rowOf(workers, mb, system, systems));
}

function rowOf(workers, mb, { system, store, rounds }, systems) {
  const middle = (of) => median(rounds.map(of));
  /** The median over the rounds of how many times more the other one takes. */
  const times = (other, of) => (other ? Math.round(100 * median(rounds.map((round, i) => of(other.rounds[i]) / of(round)))) / 100 : null);
  const fair = systems.find((other) => other.topology === 'LambdaML' && (other.store === 's3') === (store === 's3'));
  const raw = systems.find((other) => other.store === store && other.topology === 'raw');
  const all = rounds.map(({ ms }) => ms).sort((a, b) => a - b);
  const row = {
    workers,
    mb,
    system,
    ms: round1(median(all)),
    spreadMs: `${round1(all[0])} to ${round1(all.at(-1))}`,
    cpuMs: round1(middle((round) => round.cpuMs)),
    serverCpuMs: round1(middle((round) => round.serverMs)),
    mbMoved: round1(middle(({ bytes }) => bytes) / 1e6),
    requests: middle(({ requests }) => requests),
    /** Of the store's raw speed: the time of moving and adding alone over this one's. */
    rawShare: times(raw, ({ ms }) => ms),
    rawShareOfCpu: times(raw, ({ allMs }) => allMs),
    timesLambdaML: times(fair, ({ ms }) => ms),
    timesLambdaMLOfCpu: times(fair, ({ allMs }) => allMs),
  };
  console.error(JSON.stringify(row));
  return row;
}

function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
function round1(value) {
  return Math.round(value * 10) / 10;
}
function gb(bytes) {
  return (bytes / 1e9).toFixed(1);
}
