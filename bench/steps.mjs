// What a step costs through the whole engine: 200 steps of the digits at 1 and 2 workers, rounds of 10 and 100 steps, interleaved.
// usage: npm run bench [-- --repeats 3] [-- --json]
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { repeats: { type: 'string', default: '3' }, json: { type: 'boolean', default: false } } });
const digits = join(dirname(fileURLToPath(import.meta.url)), '..', 'examples', 'digits');
const require = createRequire(import.meta.url);
const { connect, readJobFile } = require('../dist/client/index.js');
const log = (line) => console.error(line);

if (spawnSync(process.execPath, [join(digits, 'make-data.mjs')], { stdio: ['ignore', 2, 2] }).status !== 0) process.exit(1);
const home = mkdtempSync(join(tmpdir(), 'smlt-bench-'));
const smlt = await connect({ home, ephemeral: true, log });
const { tune: _tune, evaluate: _evaluate, deploy: _deploy, goal: _goal, ...job } = await readJobFile(join(digits, 'job.json'));
const STEPS = 200;
const shapes = [1, 2].flatMap((workers) => [10, 100].map((stepsPerRound) => ({ workers, stepsPerRound })));
const results = new Map(shapes.map((shape) => [shape, []]));
try {
  for (let repeat = 0; repeat < Number(values.repeats); repeat++)
    for (const shape of shapes) {
      const { workers, stepsPerRound } = shape;
      const allocation = { minWorkers: workers, maxWorkers: workers, memoryMib: 1769, stepsPerRound };
      const training = { ...job.training, epochs: undefined, steps: STEPS };
      const handle = await smlt.start({ ...job, training, allocation }, { runId: `bench-${workers}-${stepsPerRound}-${repeat}` });
      const record = await handle.result();
      if (record.status !== 'completed') throw new Error(`${record.runId}: ${record.status}: ${record.reason}`);
      const ms = (record.updatedAtMs - record.startedAtMs) / STEPS;
      results.get(shape).push({ ms, weightsSha256: record.weightsSha256 });
      log(`${workers} worker(s), ${stepsPerRound} steps a round: ${ms.toFixed(1)} ms a step, everything included`);
    }
} finally {
  await smlt.close();
  rmSync(home, { recursive: true, force: true });
}
const median = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const rows = [...results].map(([shape, runs]) => ({ ...shape, medianMsAStep: median(runs.map(({ ms }) => ms)) }));
const digests = new Set([...results.values()].flat().map(({ weightsSha256 }) => weightsSha256));
if (values.json) console.log(JSON.stringify({ rows, sameBits: digests.size === 1 }));
else {
  console.table(rows);
  console.log(digests.size === 1 ? 'All runs gave the same weights.' : `${digests.size} different digests of weights.`);
}
process.exit(digests.size === 1 ? 0 : 1);
