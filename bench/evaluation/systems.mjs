// One truth for all systems: the work, the faults and the prices are the same; each brings its exchange and its machines.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
export const simulator = require('../../dist/scheduler/simulator/index.js');
export const prices = require('../../dist/platforms/lambda/prices.js').listPrices.x64;
const { simulateRun, smltPhases, baselinePhases, exchanges, lambdaWorld, machineWorkers, machineNetwork, machineTypes, noFaults } = simulator;

export const usualFaults = { ...simulator.Faults.parse({}), slowStorePerHour: 0 };
export const noFault = noFaults;
export const usd = ({ costNanoUsd }) => costNanoUsd.total / 1e9;
export const minutes = ({ timeMs }) => timeMs / 60_000;

/** What every system trains. */
export const jobOf = ({ paramCount, sampleMs, batchSize, totalSteps, lanes = 256, goal = { minimize: 'cost' }, batchSchedule }) => ({
  paramCount,
  sampleMs,
  lanes,
  job: {
    goal,
    totalSteps,
    batches: { batchSize, ...(batchSchedule && { batchSchedule }) },
    lanes,
    program: { paramCount, bufferCount: 0, peakMemoryMib: 180 + (16 * paramCount) / 2 ** 20, forwardFlopsPerSample: (sampleMs * 12e6) / 3 },
    bounds: { minWorkers: 1, maxWorkers: lanes, minMemoryMib: 512, maxMemoryMib: 10_240, concurrency: 1_000, totalCores: Infinity },
    exchange: 'redis',
    prices,
    probes: 5,
  },
});

/** Work that one thread does, as smlt's own sessions, unless `parallelShare` says otherwise. */
export function worldOf({ paramCount, sampleMs }, { parallelShare = 0.01, faults = usualFaults, ...world }) {
  const work = { sampleMs, parallelShare, fixedMs: 20, peakMemoryMib: 180 + (16 * paramCount) / 2 ** 20, reloadBytes: 12 * paramCount };
  return lambdaWorld({ prices, work, faults, ...world });
}

/** smlt itself: the scheduler chooses on simulated functions. */
export function runSmlt(
  work,
  { exchange = 'redis', exchangeModel = exchanges[exchange], topology = 'scatter-reduce', compression, seed = 1, policy, ...more } = {},
) {
  const world = worldOf(work, { exchange: exchangeModel, ...more });
  const step = { topology, compression, lanes: work.lanes, paramCount: work.paramCount, bufferCount: 0, slots: 2 };
  const job = { ...work.job, exchange, topology, compression };
  return simulateRun({ world, seed, job, phases: (n) => smltPhases(step, n, world.exchange), ...(policy && { policy }) });
}

/** Another system at one allocation, for the whole job. */
export function runFixed(work, system, allocation, { exchange, workers, faults, seed = 1, roundSteps = 100, goal = {} } = {}) {
  // Frameworks of the other systems use all vCPUs of a worker; smlt's sessions run one thread.
  const world = worldOf(work, { exchange, faults, parallelShare: 0.95, ...(workers && { workers }) });
  const job = { ...work.job, goal: { minimize: 'cost', ...goal }, probes: 0 };
  const phases = (n) => baselinePhases(system, 4 * work.paramCount, n, world.exchange);
  return simulateRun({ world, seed, job, phases, policy: always({ ...allocation, steps: roundSteps }) });
}
const quantiles = { p05: 1, p50: 1, p95: 1 };
export const always = (allocation) => () => ({
  ...{ kind: 'run', allocation, reason: 'fixed' },
  prediction: { stepMs: 1, remainingMs: quantiles, remainingNanoUsd: quantiles, roundNanoUsdP95: 1, feasibility: 1 },
});

/** Where each system exchanges: a Redis node, S3, or a machine with 10 Gbit/s as parameter server. */
const parameterServer = { ...exchanges.redis, latencyMs: 1, storeBytesPerMs: 1.25e6, usdPerHour: 0.192 };
export const systems = {
  'LambdaML, S3, leader': { system: 'lambdaml-leader', exchange: exchanges.s3 },
  'LambdaML, S3, scatter-reduce': { system: 'lambdaml-scatter', exchange: exchanges.s3 },
  'LambdaML, Redis, scatter-reduce': { system: 'lambdaml-scatter', exchange: exchanges.redis },
  Cirrus: { system: 'cirrus', exchange: parameterServer },
  Siren: { system: 'siren', exchange: exchanges.s3 },
  'MLLess, 10 % significant': { system: 'mlless', exchange: exchanges.redis },
  'SMLT’s exchange, fixed': { system: 'smlt', exchange: exchanges.redis },
  'c5.large': { system: 'ring', exchange: machineNetwork, workers: machineWorkers(machineTypes['c5.large']), memories: [4_096], roundSteps: 1e9 },
  'm5.large': { system: 'ring', exchange: machineNetwork, workers: machineWorkers(machineTypes['m5.large']), memories: [8_192], roundSteps: 1e9 },
};
/** What somebody takes who tunes nothing. */
export const untuned = { workers: 100, memoryMib: 3_008 };

/** The best allocation of a system by trying all on the same truth. @param better  'usd' or 'minutes'; limits as in the goal */
export function tuned(work, options, minimize, { deadlineMinutes = Infinity, budgetUsd = Infinity, counts = [1, 2, 4, 8, 16, 32, 64, 128] } = {}) {
  let best;
  for (const workers of counts)
    for (const memoryMib of options.memories ?? [1_769, 3_538]) {
      if (memoryMib < 1.1 * work.job.program.peakMemoryMib) continue;
      const run = runFixed(work, options.system, { workers, memoryMib }, options);
      if (run.outcome !== 'completed' || minutes(run) > deadlineMinutes || usd(run) > budgetUsd) continue;
      const value = minimize === 'time' ? minutes(run) : usd(run);
      if (best === undefined || value < best.value) best = { value, run, workers, memoryMib };
    }
  return best;
}
