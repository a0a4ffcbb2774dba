// What a training step costs beside PyTorch's, eager, on one thread: the same models, exported by PyTorch, interleaved.
// usage: npm run bench:training -- --python .venv/bin/python [--rounds 8] [--models mlp,lenet] [--json]
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { performance } from 'node:perf_hooks';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    rounds: { type: 'string', default: '8' },
    models: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const require = createRequire(import.meta.url);
const { buildProgram } = require('../dist/training/prepare.js');
const { hasChannelBlocks, openTraining } = require('../dist/training/runtime.js');
const { update, slotCount } = require('../dist/training/optimizers.js');
const { Optimizer } = require('../dist/contracts/optimizer.js');
const { KernelMemory, divide } = require('../dist/training/kernels/index.js');

/** Each turn runs about this long, so that both sides see the same load. */
const TURN_MS = 300;
const adam = Optimizer.parse({ kind: 'adam', learningRate: 1e-4 });

/** PyTorch in a process of its own, that answers line for line. */
function startPeer(folder) {
  const script = join(dirname(fileURLToPath(import.meta.url)), 'peers', 'training.py');
  const child = spawn(values.python, ['-W', 'ignore', script, folder], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${values.python} has ended; expected a Python with torch and onnx: give its path with --python`);
    return JSON.parse(value);
  };
  return {
    next,
    ask: (line) => (child.stdin.write(`${line}\n`), next()),
    end: () => child.stdin.end(),
  };
}

/** smlt's step as a worker that has all lanes in one does it: gradient sums, mean, Adam. */
async function open(name, file, { batch, shape }) {
  const tokens = name === 'gpt';
  const { program, files } = buildProgram({
    model: { onnx: new Uint8Array(readFileSync(file)) },
    loss: tokens ? 'next-token' : 'softmax-cross-entropy',
    featureShape: shape,
    target: tokens ? { kind: 'values', width: 1 } : { kind: 'class', classes: 10 },
    seed: 1,
    laneBatches: [batch],
  });
  const graph = ((await hasChannelBlocks()) ? program.blockedGraphs?.[batch] : undefined) ?? program.trainingGraphs[batch];
  const session = await openTraining(files.get(graph), program, batch);
  const { paramCount, bufferCount } = program;
  const memory = new KernelMemory(32 * (paramCount + bufferCount + 1024));
  const [params, into, mean, slots] = [paramCount, paramCount + bufferCount + 1, paramCount, paramCount * slotCount(adam)].map((length) =>
    memory.floats(length).fill(0),
  );
  const initial = files.get(program.initialParams);
  params.set(new Float32Array(initial.buffer, initial.byteOffset, paramCount));
  const random = (i) => ((Math.imul(i + 1, 2654435761) >>> 0) / 2 ** 32) * 2 - 1;
  const features = Float32Array.from({ length: batch * shape.reduce((a, b) => a * b, 1) }, (_, i) =>
    tokens ? Math.floor((random(i) + 1) * 256) : random(i),
  );
  const targets = tokens ? new Float32Array(batch) : Int32Array.from({ length: batch }, (_, i) => i % 10);
  let step = 0;
  return {
    paramCount,
    async run(mode) {
      await session.run({ params, features, targets, noise: [], into });
      if (mode === 'gradient') return;
      divide(mean, into.subarray(0, paramCount), batch);
      update(adam, { params, gradient: mean, slots, step: step++, learningRate: adam.learningRate });
    },
  };
}

async function measure(run, steps) {
  const [cpu, wall] = [[], []];
  for (let i = 0; i < steps; i++) {
    const [cpuBefore, wallBefore] = [process.cpuUsage(), performance.now()];
    await run();
    const { user, system } = process.cpuUsage(cpuBefore);
    cpu.push((user + system) / 1e3);
    wall.push(performance.now() - wallBefore);
  }
  return { cpu, wall };
}
const sorted = (numbers) => [...numbers].sort((a, b) => a - b);
const median = (numbers) => sorted(numbers)[numbers.length >> 1];
const mean = (numbers) => numbers.reduce((a, b) => a + b, 0) / numbers.length;

const folder = mkdtempSync(join(tmpdir(), 'smlt-bench-'));
const peer = startPeer(folder);
const rows = [];
try {
  const { torch, models } = await peer.next();
  console.error(`PyTorch ${torch}, Node ${process.version}; one thread each, turns of ${TURN_MS} ms`);
  for (const name of values.models?.split(',') ?? Object.keys(models)) {
    const own = await open(name, join(folder, `${name}.onnx`), models[name]);
    for (const mode of ['gradient', 'step']) {
      const { wall } = await measure(() => own.run(mode), 5);
      const steps = Math.max(3, Math.ceil(TURN_MS / median(wall)));
      // Until both are warm: caches, allocators, and what a JIT compiles at leisure.
      for (let turn = 0; turn < 2; turn++) {
        await measure(() => own.run(mode), steps);
        await peer.ask(`${name} ${mode} ${steps}`);
      }
      const [a, b] = [[], []];
      for (let round = 0; round < Number(values.rounds); round++) {
        a.push(await measure(() => own.run(mode), steps));
        b.push(await peer.ask(`${name} ${mode} ${steps}`));
      }
      const of = (turns, what, read) => read(turns.flatMap((turn) => turn[what]));
      const ratios = a.map((turn, i) => mean(turn.cpu) / mean(b[i].cpu));
      const row = {
        model: name,
        parameters: own.paramCount,
        mode,
        smltCpuMs: of(a, 'cpu', mean),
        torchCpuMs: of(b, 'cpu', mean),
        cpuRatio: median(ratios),
        cpuRatioFrom: Math.min(...ratios),
        cpuRatioTo: Math.max(...ratios),
        smltWallMinMs: of(a, 'wall', (all) => sorted(all)[0]),
        torchWallMinMs: of(b, 'wall', (all) => sorted(all)[0]),
      };
      rows.push(row);
      console.error(`${name} ${mode}: ${row.smltCpuMs.toFixed(2)} / ${row.torchCpuMs.toFixed(2)} CPU ms, ratio ${row.cpuRatio.toFixed(2)}`);
    }
  }
} finally {
  peer.end();
  rmSync(folder, { recursive: true, force: true });
}
if (values.json) console.log(JSON.stringify(rows));
else
  console.table(
    rows.map((row) =>
      Object.fromEntries(Object.entries(row).map(([key, value]) => [key, typeof value === 'number' ? Number(value.toPrecision(3)) : value])),
    ),
  );
