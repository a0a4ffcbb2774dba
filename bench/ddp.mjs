// smlt's whole local engine at two workers beside PyTorch's DistributedDataParallel with gloo on two processes: the same
// models and global batches with Adam, in turns. smlt's steps are what a long run takes more than a short one.
// usage: npm run bench:ddp -- --python .venv/bin/python [--rounds 3] [--models lenet,cnn,transformer] [--json]
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

const { values } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    rounds: { type: 'string', default: '3' },
    models: { type: 'string', default: 'lenet,cnn,transformer' },
    json: { type: 'boolean', default: false },
  },
});
const require = createRequire(import.meta.url);
const { connect } = require('../dist/client/index.js');
const { packInto } = require('../dist/client/data-pack.js');
const { readDevState } = require('../dist/client/dev/dev-state.js');
const { homeAt } = require('../dist/client/home.js');

const WORKERS = 2;
const SAMPLES = 2_048;
/** Every run starts functions, profiles the model and ends: all of it is in the short run too. */
const SHORT_STEPS = 20;
const settings = { lenet: { batchSize: 256, steps: 150 }, cnn: { batchSize: 256, steps: 40 }, transformer: { batchSize: 64, steps: 80 } };
const ddp = join(dirname(fileURLToPath(import.meta.url)), 'peers', 'ddp.py');
const python = async (...words) => JSON.parse((await promisify(execFile)(values.python, ['-W', 'ignore', ddp, ...words.map(String)])).stdout);

const freePort = () =>
  new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

/** CPU time of a process and all below it, those that have ended included; Linux only. */
function treeCpuMs(root) {
  const TICK_MS = 10;
  const stats = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const [parent, ...fields] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').pop().split(' ').slice(1);
        const ticks = fields.slice(9, 13).map(Number);
        return [{ pid: Number(pid), parent: Number(parent), ms: ticks.reduce((a, b) => a + b, 0) * TICK_MS }];
      } catch {
        return []; // ended meanwhile
      }
    });
  const total = (pid) =>
    stats.filter(({ parent }) => parent === pid).reduce((sum, child) => sum + total(child.pid), stats.find((each) => each.pid === pid)?.ms ?? 0);
  return total(root);
}

async function packSamples(folder, shape) {
  const width = shape.reduce((product, axis) => product * axis, 1);
  const features = Float32Array.from({ length: SAMPLES * width }, (_, i) => (Math.imul(i + 1, 2_654_435_761) >>> 0) / 2 ** 31 - 1);
  const targets = Array.from({ length: SAMPLES }, (_, i) => i % 10);
  await packInto(folder, { features, featureShape: shape, targets, kind: 'class', classes: 10, seed: 1, samplesPerShard: 512 });
}

const home = mkdtempSync(join(tmpdir(), 'smlt-ddp-'));
const smlt = await connect({ home: join(home, 'state'), ephemeral: true, log: (line) => console.error(line) });
const { supervisor } = readDevState(homeAt(join(home, 'state')));
let runs = 0;

/** A whole run of so many steps: its wall and CPU time, everything included. */
async function run(name, steps, shape) {
  const job = {
    name,
    data: { train: `file://${join(home, name)}` },
    model: { onnx: join(home, `${name}.onnx`) },
    loss: 'softmax-cross-entropy',
    training: { steps, batchSize: settings[name].batchSize, lanes: 16, seed: 1, optimizer: { kind: 'adam', learningRate: 1e-4 } },
    allocation: { minWorkers: WORKERS, maxWorkers: WORKERS, memoryMib: 1769 },
  };
  const cpuBefore = treeCpuMs(supervisor.pid);
  const record = await (await smlt.start(job, { runId: `ddp-${name}-${runs++}` })).result();
  if (record.status !== 'completed') throw new Error(`${record.runId} (features ${shape}): ${record.status}: ${record.reason}`);
  return { wallMs: record.updatedAtMs - record.startedAtMs, cpuMs: treeCpuMs(supervisor.pid) - cpuBefore };
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
const rows = [];
try {
  const names = values.models.split(',');
  const { torch, shapes } = await python('export', home, ...names);
  console.error(`PyTorch ${torch}, Node ${process.version}; ${WORKERS} workers of one thread each`);
  for (const name of names) {
    const { batchSize, steps } = settings[name];
    await packSamples(join(home, name), shapes[name]);
    await run(name, SHORT_STEPS, shapes[name]); // uploads the data, makes the program, fills caches
    const turns = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      const peer = await python('run', name, batchSize, steps, WORKERS, await freePort());
      const short = await run(name, SHORT_STEPS, shapes[name]);
      const long = await run(name, SHORT_STEPS + steps, shapes[name]);
      const own = { wallMs: long.wallMs - short.wallMs, cpuMs: long.cpuMs - short.cpuMs };
      turns.push({
        smlt: (batchSize * steps * 1e3) / own.wallMs,
        torch: (batchSize * steps * 1e3) / peer.wallMs,
        smltCpuMs: own.cpuMs / steps,
        torchCpuMs: peer.cpuMs / steps,
      });
      const { smlt: a, torch: b } = turns.at(-1);
      console.error(`${name}: ${a.toFixed(0)} samples a second, DDP ${b.toFixed(0)}, ${(a / b).toFixed(2)}x`);
    }
    const ratios = turns.map((turn) => turn.smlt / turn.torch);
    rows.push({
      model: name,
      batchSize,
      smltSamplesPerSecond: median(turns.map((turn) => turn.smlt)),
      ddpSamplesPerSecond: median(turns.map((turn) => turn.torch)),
      ratio: median(ratios),
      ratioFrom: Math.min(...ratios),
      ratioTo: Math.max(...ratios),
      smltCpuMsAStep: median(turns.map((turn) => turn.smltCpuMs)),
      ddpCpuMsAStep: median(turns.map((turn) => turn.torchCpuMs)),
    });
  }
} finally {
  await smlt.close();
  rmSync(home, { recursive: true, force: true });
}
if (values.json) console.log(JSON.stringify(rows));
else
  console.table(
    rows.map((row) =>
      Object.fromEntries(Object.entries(row).map(([key, value]) => [key, typeof value === 'number' ? Number(value.toPrecision(3)) : value])),
    ),
  );
