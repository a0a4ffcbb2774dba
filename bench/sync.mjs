// How long workers take to add up a gradient through a store and to share what comes of it: the product's own step, its
// topologies and stores, the stores' raw speed, and LambdaML's algorithm on the same Redis. Systems take turns, round by round.
// usage: npm run bench:sync [-- --workers 2,4 --mb 1,10 --cells 2x1,4x10 --topologies scatter-reduce --stores redis,tmpfs
//   --rounds 9 --minutes 38 --full --out FILE --json]
// The peer needs `python3 -m venv .cache/peers && .cache/peers/bin/pip install redis numpy boto3`, or `--python PATH`; without it
// smlt runs alone. A system is skipped, by name, when it moves more than 8 GB a round or a store would hold more than 12 GB.
// The whole matrix ends in time: big cells have fewer rounds, but 3, and what no time is left for is skipped by name. With --out
// rows are added to a file as they come (a line of JSON each), and a cell that is in it is not measured again.
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { leastSeconds, measureCell } from './sync/cell.mjs';
import { rowsOf, tableOf } from './sync/rows.mjs';
import { peersOf, systemsOf } from './sync/systems.mjs';
import { endAll, startRedis, startS3 } from './sync/team.mjs';

const require = createRequire(import.meta.url);
const { topologies } = require('../dist/contracts/synchronization.js');
const cache = join(dirname(fileURLToPath(import.meta.url)), '..', '.cache');
const text = (value) => ({ type: 'string', default: value });
const { values: options } = parseArgs({
  options: {
    workers: text('2,4,8,16'),
    mb: text('1,10,50,200'),
    cells: { type: 'string' },
    topologies: text(topologies.join(',')),
    stores: text('redis,redis-unix,tmpfs,s3'),
    rounds: { type: 'string' },
    minutes: text('38'),
    full: { type: 'boolean' },
    python: text(join(cache, 'peers/bin/python')),
    out: { type: 'string' },
    json: { type: 'boolean' },
  },
});
const numbers = (list, separator = ',') => list.split(separator).map(Number);

const work = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'smlt-sync-'));
const files = join(work, 'exchange');
const redis = await startRedis(work, cache);
const s3 = options.stores.split(',').includes('s3') ? await startS3(work, cache) : undefined;
if (options.stores.includes('s3') && !s3) console.error('without S3: versitygw is not installed (CONTRIBUTING.md)');
/** Files have a folder for each system, since workers delete theirs themselves, as in a run, but not the newest step's. */
const uris = {
  redis: () => `redis://127.0.0.1:${redis.port}`,
  'redis-unix': () => `redis+unix://${redis.socket}`,
  tmpfs: (system) => `tmpfs://${join(files, system.replaceAll(' ', '-'))}`,
  s3: () => s3.uri,
};
const serverOf = {
  redis,
  'redis-unix': redis,
  tmpfs: { cpuMs: () => 0, clear: () => undefined, forget: () => rmSync(files, { recursive: true, force: true }) },
  s3,
};
for (const store of options.stores.split(','))
  if (!(store in uris)) throw new Error(`--stores ${store}: expected some of ${Object.keys(uris).join(',')}`);
const chosen = options.stores.split(',').filter((store) => store !== 's3' || s3);
const stores = Object.fromEntries(chosen.map((store) => [store, uris[store]]));
const peers = { python: options.python, can: peersOf(options.python), redis: uris.redis(), s3: s3?.endpoint };
if (!peers.can.redis) console.error('without LambdaML: see the head of bench/sync.mjs');

const rows =
  options.out && existsSync(options.out)
    ? readFileSync(options.out, 'utf8').trim().split('\n').map((line) => JSON.parse(line)) // prettier-ignore
    : [];
const isMeasured = ([workers, mb]) => rows.some((row) => row.workers === workers && row.mb === mb);
const pairs =
  options.cells?.split(',').map((cell) => numbers(cell, 'x')) ??
  numbers(options.workers).flatMap((workers) => numbers(options.mb).map((mb) => [workers, mb]));
const cells = pairs
  .filter((pair) => !isMeasured(pair))
  .map(([workers, mb]) => ({ workers, mb, systems: systemsOf({ workers, mb, stores, topologies: options.topologies.split(','), peers }) }))
  .filter(({ systems }) => systems.length > 0)
  .sort((a, b) => leastSeconds(a) - leastSeconds(b)); // what time runs out on are the biggest

const startMs = performance.now();
const minutes = options.full || options.rounds ? Infinity : Number(options.minutes);
const leftSeconds = () => 60 * minutes - (performance.now() - startMs) / 1_000;
/** How many times longer cells took than on an idle machine. */
let slowness = 1;
try {
  for (const [i, cell] of cells.entries()) {
    const name = `${cell.workers} workers, ${cell.mb} MB`;
    const least = leastSeconds(cell) * slowness;
    if (least > leftSeconds()) {
      console.error(`skipped: ${name}: 3 rounds would take ${Math.round(least)} s, and ${Math.round(leftSeconds())} of ${minutes} minutes are left`);
      continue;
    }
    const ahead = cells.slice(i).reduce((sum, each) => sum + leastSeconds(each), 0);
    const { measured, seconds } = await measureCell(cell, {
      serverOf,
      budgetSeconds: (leftSeconds() * leastSeconds(cell)) / ahead,
      rounds: options.rounds && Number(options.rounds),
      scale: options.full ? 3 : 1,
      progress: (line) => console.error(`cell ${i + 1} of ${cells.length}, ${name}: ${line}`),
    });
    const found = rowsOf(cell.workers, cell.mb, measured);
    rows.push(...found);
    if (options.out) for (const row of found) appendFileSync(options.out, `${JSON.stringify(row)}\n`);
    slowness = Math.max(1, seconds / leastSeconds(cell));
  }
} finally {
  endAll();
  rmSync(work, { recursive: true, force: true });
}
rows.sort((a, b) => a.workers - b.workers || a.mb - b.mb);
console.log(options.json ? JSON.stringify(rows) : tableOf(rows));
process.exit(0);
