// Trains a model of 200 MB of parameters with 4 workers over Redis and over tmpfs, each worker a process as a function is,
// and fails when one of them takes more memory than docs/synchronisation.md promises. Two rounds: from the initial
// parameters, and from a checkpoint in new processes. usage: npm run bench:large [-- --mb 200 --stores redis,tmpfs --json]
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { endAll, startRedis } from './sync/team.mjs';

const require = createRequire(import.meta.url);
const { cutOf } = require('../dist/contracts/cut.js');
const { names } = require('../dist/contracts/names.js');
const { Optimizer } = require('../dist/contracts/optimizer.js');
const { jsonBytes, sha256Of } = require('../dist/functions/bytes.js');
const { openExchange, openObjectStore } = require('../dist/storage/index.js');
const { finishManifest, packDataSet } = require('../dist/training/data-set.js');
const here = dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: { mb: { type: 'string', default: '200' }, stores: { type: 'string', default: 'redis,tmpfs' }, json: { type: 'boolean' } },
});
const WORKERS = 4;
const LANES = 16;
const BATCH = 32;
const STEPS = 2;
const FEATURES = 16;
const MIB = 2 ** 20;
/** Node, ONNX Runtime and its session, samples. */
const REST_MIB = 300;

const width = Math.round(Math.sqrt((Number(options.mb) * 1e6) / 4 + 100) - 11);
const layers = [{ dense: width }, 'relu', { dense: width }, 'relu', { dense: 4 }];
const work = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'smlt-large-'));
const redis = await startRedis(work, join(here, '..', '.cache'));
const exchanges = { redis: `redis://127.0.0.1:${redis.port}`, tmpfs: `tmpfs://${join(work, 'exchange')}` };
const storeUri = pathToFileURL(join(work, 'store')).href;
const rows = [];
try {
  const data = packData();
  const prepared = await inProcess({
    role: 'prepare',
    request: { storeUri, model: { layers }, loss: 'softmax-cross-entropy', dataUri: data.uri, seed: 7, laneBatches: [BATCH / LANES] },
  });
  const store = await openObjectStore(storeUri);
  for (const name of options.stores.split(',')) rows.push(...(await trainOver(name, exchanges[name], store, prepared, data)));
} finally {
  endAll();
  rmSync(work, { recursive: true, force: true });
}
if (options.json) console.log(JSON.stringify(rows));
else console.table(rows);
process.exit(rows.every(({ withinBound }) => withinBound) ? 0 : 1);

function packData() {
  const samples = 256;
  const packed = packDataSet({
    features: Float32Array.from({ length: samples * FEATURES }, (_, i) => Math.sin(i * i)),
    targets: Int32Array.from({ length: samples }, (_, i) => i % 4),
    featureShape: [FEATURES],
    kind: 'class',
    classes: 4,
    seed: 3,
    samplesPerShard: samples,
  });
  const folder = join(work, 'data');
  mkdirSync(folder);
  const manifest = finishManifest(packed, (bytes) => sha256Of([bytes]));
  for (const { file, bytes } of packed.shards) writeFileSync(join(folder, file), bytes);
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
  return { uri: pathToFileURL(folder).href, sha256: manifest.sha256 };
}

async function trainOver(name, exchangeUri, store, { programDigest, paramCount }, data) {
  const exchange = await openExchange(exchangeUri);
  const cut = cutOf({ topology: 'scatter-reduce', lanes: LANES, paramCount, workers: WORKERS });
  const optimizer = Optimizer.parse({ kind: 'adam', learningRate: 1e-3 });
  const results = [];
  let start = { kind: 'initial' };
  for (const round of [0, 1]) {
    const plan = {
      formatVersion: 1,
      run: `large-${name}`,
      track: 'train',
      recipe: 'large-model',
      recipeBody: {
        programDigest,
        codeDigest: 'bench-code',
        dataSha256: data.sha256,
        lanes: LANES,
        batchSize: BATCH,
        seed: 11,
        totalSteps: 100,
        optimizer,
        schedule: { kind: 'constant', warmupSteps: 0 },
      },
      round,
      first: round * STEPS,
      last: (round + 1) * STEPS,
      allocation: { workers: WORKERS, memoryMib: 4_096, steps: STEPS },
      cut,
      topology: 'scatter-reduce',
      start,
      dataUri: data.uri,
      exchangeUri,
      storeUri,
      times: { waitMs: 30_000, giveUpMs: 600_000, lookMs: 1_000, marginMs: 1_000 },
      reproducibility: 'bits',
      reason: 'bench',
    };
    await store.decide(names.plan(plan, round), jsonBytes(plan));
    const startMs = performance.now();
    const answers = await Promise.all(
      Array.from({ length: WORKERS }, (_, worker) =>
        inProcess({ role: 'train', request: { storeUri, run: plan.run, track: plan.track, round, worker, memoryMib: 4_096 } }),
      ),
    );
    const wrong = answers.find(({ kind }) => kind !== 'done');
    if (wrong) throw new Error(`round ${round} over ${name}: ${JSON.stringify(wrong)}`);
    // What the commit does: the manifest is not needed here, the steps before the last one are.
    const live = await exchange.list(names.steps(plan));
    await exchange.delete(live.filter((value) => !value.startsWith(`${names.steps(plan)}${plan.last}/`)));
    start = { kind: 'stored', run: plan.run, track: plan.track, recipe: plan.recipe, step: plan.last, rangeBorders: cut.rangeBorders };
    const paramsMib = (paramCount * 4) / MIB;
    const stateMib = (2 * paramsMib) / WORKERS;
    const boundMib = paramsMib + paramsMib + stateMib + Math.log2(LANES / WORKERS) * paramsMib + REST_MIB;
    const peaks = answers.map(({ telemetry }) => Math.round(telemetry.peakRssMib));
    const row = {
      store: name,
      round: round === 0 ? 'from the initial parameters' : 'from a checkpoint',
      paramsMib: Math.round(paramsMib),
      peakRssMib: peaks.join(', '),
      boundMib: Math.round(boundMib),
      withinBound: Math.max(...peaks) <= boundMib,
      stepMs: Math.round(Math.max(...answers.map(({ telemetry }) => telemetry.medianStepMs))),
      roundMs: Math.round(performance.now() - startMs),
      loss: answers[0].loss,
    };
    console.error(JSON.stringify(row));
    results.push(row);
  }
  await exchange.close();
  return results;
}

/** One invocation in a process of its own, as a cold function is. */
async function inProcess(work) {
  const child = spawn(process.execPath, [join(here, 'large/function.mjs')], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(JSON.stringify(work));
  const { value } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
  if (value === undefined) throw new Error(`the ${work.role} function ended without an answer`);
  const answer = JSON.parse(value);
  if (answer.error) throw new Error(`${work.role}: ${answer.error.message}`);
  return answer;
}
