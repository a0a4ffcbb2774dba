// One worker of bench/sync.mjs: the product's own step, whose lanes need no time to compute. usage: URI RANK WORKERS FLOATS TOPOLOGY
// A line on stdin begins a step; 'computed' says that its gradient is there, and the next line releases it to the others.
import { createRequire } from 'node:module';
import { nextLine } from './lines.mjs';

const require = createRequire(import.meta.url);
const { openExchange } = require('../../dist/storage/index.js');
const { blockElements, cutOf } = require('../../dist/contracts/cut.js');
const { Optimizer } = require('../../dist/contracts/optimizer.js');
const { Layout } = require('../../dist/functions/train/layout.js');
const { Steps } = require('../../dist/functions/train/step.js');
const { Sweep } = require('../../dist/functions/train/sweep.js');
const { Meter } = require('../../dist/functions/train/telemetry.js');
const { Turn } = require('../../dist/functions/train/turn.js');
const { takeWorkspace } = require('../../dist/functions/train/workspace.js');

const [uri, ...rest] = process.argv.slice(2);
const [rank, workers, floats] = rest.map(Number);
const topology = rest[3];
/** For 16 workers and hundreds of megabytes on two busy cores. */
const PATIENCE_MS = 600_000;
const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};
let startCpuMs;

/** A lane of one sample, whose gradient is its number, one from the first. */
const session = {
  async run({ into, lane }) {
    into.fill(lane + 1);
    console.log('computed');
    nextLine();
    startCpuMs = cpuMs();
  },
  close: async () => undefined,
};
const program = {
  digest: `sync of ${floats}`,
  paramCount: floats,
  buffers: [],
  bufferCount: 0,
  blockElements: blockElements(floats),
  featureShape: [1],
  target: { kind: 'class', classes: 1 },
  noise: [],
};
const plan = {
  run: 'bench',
  track: 'train',
  recipe: 'sync',
  round: 0,
  first: 0,
  last: Number.MAX_SAFE_INTEGER,
  recipeBody: {
    lanes: workers,
    batchSize: workers,
    seed: 0,
    totalSteps: 1e9,
    optimizer: Optimizer.parse({ kind: 'sgd', learningRate: 1 }),
    schedule: { kind: 'constant', warmupSteps: 0 },
  },
  cut: cutOf({ topology, lanes: workers, paramCount: floats, workers }),
  topology,
  times: { waitMs: PATIENCE_MS, giveUpMs: PATIENCE_MS, lookMs: 1_000, marginMs: 0 },
  reproducibility: 'bits',
};
const exchange = await openExchange(uri);
const store = { uri: 'none', head: async () => undefined };
const { workspace } = takeWorkspace({ openLane: async () => session }, store, program);
const layout = new Layout(plan, program, rank);
const turn = new Turn(layout, exchange, store, workspace, { gather: () => undefined }, new Meter(), { getRemainingTimeInMillis: () => 1e9 });
const steps = new Steps(turn, workers);
const sweep = new Sweep(turn);
workspace.params.holds('', floats);
workspace.slots.holds('', 0);
workspace.extra.holds('', layout.extraLength);

/** Minus the mean of the lanes' gradients. */
const wanted = Buffer.from(new Float32Array(floats).fill(-(workers + 1) / 2).buffer);

console.log('ready');
for (let step = 0; nextLine() !== undefined; step++) {
  const { bytesWritten, bytesRead, requests } = exchange.traffic;
  const { values } = workspace.params;
  values.fill(0);
  await steps.run(step);
  await steps.readParams(step + 1);
  const spentMs = cpuMs() - startCpuMs;
  console.log('done'); // what the clock stops at; what is below is not a part of it
  const { traffic } = exchange;
  console.log(
    JSON.stringify({
      cpuMs: spentMs,
      right: Buffer.from(values.buffer, values.byteOffset, values.byteLength).equals(wanted),
      bytes: traffic.bytesWritten - bytesWritten + traffic.bytesRead - bytesRead,
      requests: traffic.requests - requests,
    }),
  );
  await sweep.below(step + 1);
}
await exchange.close();
