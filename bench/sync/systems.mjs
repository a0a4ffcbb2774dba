// What bench/sync.mjs runs in a cell (so many workers, so many MB): the product's topologies over every store, each store's raw
// speed, LambdaML's algorithm. Says which are skipped, and what a system moves, stores and needs of memory.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const { cutOf } = require('../../dist/contracts/cut.js');
const { stepTraffic } = require('../../dist/contracts/step-traffic.js');
const { isReplicated } = require('../../dist/contracts/synchronization.js');
const here = dirname(fileURLToPath(import.meta.url));

const MOST_MOVED = 8e9;
const MOST_STORED = 12e9;
const MOST_S3_MB = 50;
/** The published code sends every value at every poll: minutes, to no end. */
const MOST_PUBLISHED_MB = 10;
/** A Node process with the exchange, or a Python with numpy and a client. */
const PROCESS_BYTES = 5e7;
/** Vectors that a worker holds at most: parameters, its lane, what comes in, what goes out. */
const VECTORS = 4;

/** Which of LambdaML's can run here. */
export function peersOf(python) {
  const imports = (names) => existsSync(python) && spawnSync(python, ['-c', `import ${names}`]).status === 0;
  return { redis: imports('redis, numpy'), s3: imports('redis, numpy, boto3') };
}

/**
 * @param stores  from a store's name to its URI for one system, by the system's name
 * @param peers  LambdaML's Python, its places, and what `peersOf` says of it
 * @returns systems: name, store, bytes moved a round, bytes of memory of all workers, and how a worker is started
 */
export function systemsOf({ workers, mb, stores, topologies, peers }) {
  const floats = Math.floor((mb * 1e6) / 4);
  const bytes = 4 * floats;
  const scattered = (3 * workers - 2) * bytes;
  const systems = [];
  const add = (system) => {
    const reason = reasonToSkip(system, mb);
    if (reason) console.error(`skipped: ${workers} workers, ${mb} MB, ${system.system}: ${reason}`);
    else systems.push({ memory: workers * (PROCESS_BYTES + VECTORS * bytes), stored: 0, ...system });
  };
  for (const [store, uriOf] of Object.entries(stores)) {
    const node = (system, script, ...more) => ({
      system: `${store}, ${system}`,
      store,
      commandOf: (rank) => [process.execPath, [join(here, script), uriOf(system), rank, workers, floats, ...more]],
    });
    for (const topology of topologies) {
      const cut = cutOf({ topology, lanes: workers, paramCount: floats, workers });
      const traffic = stepTraffic({ topology, cut, lanes: workers, paramCount: floats, bufferCount: 0, slots: 0 });
      const stored = traffic.reduce((sum, { bytesWritten }) => sum + bytesWritten, 0);
      const moved = stored + traffic.reduce((sum, { bytesRead }) => sum + bytesRead, 0);
      const vectors = VECTORS + (isReplicated(topology) ? workers : 0); // others' whole vectors on their way into the tree
      add({ ...node(topology, 'worker.mjs', topology), kind: topology, moved, stored, memory: workers * (PROCESS_BYTES + vectors * bytes) });
    }
    add({ ...node('raw', 'raw.mjs'), kind: 'raw', moved: scattered });
    if (store === 'tmpfs') add({ ...node('raw over old files', 'raw.mjs', 'over'), kind: 'raw over', moved: scattered });
  }
  const peer = (system, store, kind, place, listing) => ({
    system,
    store,
    kind,
    moved: scattered,
    commandOf: (rank) => [peers.python, [join(here, '../peers/lambdaml_scatter_reduce.py'), place, rank, workers, floats, listing]],
  });
  if (peers.can.redis && 'redis' in stores) {
    add(peer('LambdaML, lists keys', 'redis', 'LambdaML', peers.redis, 'keys'));
    if (mb <= MOST_PUBLISHED_MB) add(peer('LambdaML, as published', 'redis', 'published', peers.redis, 'values'));
  }
  if (peers.can.s3 && 's3' in stores) add(peer('LambdaML on S3', 's3', 'LambdaML', peers.s3, 'keys'));
  return systems;
}

function reasonToSkip({ store, moved, stored = 0 }, mb) {
  if (moved > MOST_MOVED) return `moves ${gb(moved)} GB, more than 8`;
  if (stored > MOST_STORED) return `stores ${gb(stored)} GB, more than 12`;
  if (store === 's3' && mb > MOST_S3_MB) return `more than ${MOST_S3_MB} MB`;
  return undefined;
}
const gb = (bytes) => (bytes / 1e9).toFixed(1);
