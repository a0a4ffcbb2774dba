// How fast the simulator is: 1,000 workers x 1,000 steps with crashes, stragglers and restarts at the time limit. One core.
import { createRequire } from 'node:module';
import { createHash } from 'node:crypto';

const require = createRequire(import.meta.url);
const { simulateRun, smltPhases, lambdaWorld, exchanges, Faults } = require('../dist/scheduler/simulator/index.js');
const { listPrices } = require('../dist/platforms/lambda/prices.js');

const workers = Number(process.argv[2] ?? 1_000);
const steps = Number(process.argv[3] ?? 1_000);
const lanes = 1_024;
const prices = listPrices.x64;
const program = { paramCount: 1_000_000, bufferCount: 0, peakMemoryMib: 300, forwardFlopsPerSample: 1e8 };
const world = lambdaWorld({
  prices,
  exchange: { ...exchanges.s3, requestsPerMs: Infinity },
  work: { sampleMs: 500, parallelShare: 0, fixedMs: 10, peakMemoryMib: 300, reloadBytes: 12e6 },
  faults: Faults.parse({ crashesPerHour: 0.5, throttled: 0.01, duplicates: 0.001, lostValues: 0.0001 }),
});
const step = { topology: 'scatter-reduce', lanes, paramCount: program.paramCount, bufferCount: 0, slots: 2 };
const stepPhases = smltPhases(step, workers, world.exchange);
const allocation = { workers, memoryMib: 1_769, steps: 500 };
const prediction = {
  stepMs: 1,
  remainingMs: { p05: 1, p50: 1, p95: 1 },
  remainingNanoUsd: { p05: 1, p50: 1, p95: 1 },
  roundNanoUsdP95: 1,
  feasibility: 1,
};
const options = (seed) => ({
  world,
  seed,
  phases: () => stepPhases,
  policy: () => ({ kind: 'run', allocation, prediction, reason: 'always the same' }),
  job: {
    goal: { minimize: 'time' },
    totalSteps: steps,
    batches: { batchSize: lanes },
    lanes,
    program,
    bounds: { minWorkers: 1, maxWorkers: workers, minMemoryMib: 128, maxMemoryMib: 10_240, concurrency: 1_024, totalCores: Infinity },
    exchange: 's3',
    prices,
    probes: 0,
  },
});
simulateRun({ ...options(0), job: { ...options(0).job, totalSteps: 20 } }); // compiled before it is timed
for (const seed of [1, 2, 3, 1]) {
  const before = process.cpuUsage();
  const { counts, rounds, invocations, timeMs, costNanoUsd, outcome } = simulateRun(options(seed));
  const cpu = process.cpuUsage(before);
  const digest = createHash('sha256')
    .update(JSON.stringify([counts, rounds, timeMs, costNanoUsd, invocations.list()]))
    .digest('hex')
    .slice(0, 12);
  const { crashes, restarts, lostValues, throttles, duplicates } = counts;
  console.log(
    JSON.stringify({
      seed,
      outcome,
      cpuMs: Math.round((cpu.user + cpu.system) / 1_000),
      virtualMinutes: Math.round(timeMs / 60_000),
      crashes,
      restarts,
      lostValues,
      throttles,
      duplicates,
      invocations: invocations.count,
      digest,
    }),
  );
}
