// One truth for all systems: the work, the faults and the prices are the same; each brings its exchange and its machines.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
export const simulator = { ...require('../../dist/scheduler/simulator/index.js'), decideNext: require('../../dist/scheduler/decide.js').decideNext };
export const { laneUnitOf } = require('../../dist/scheduler/lane-units.js');
export const prices = require('../../dist/platforms/lambda/prices.js').listPrices.x64;
const { simulateRun, smltPhases, baselinePhases, exchanges, fixed, lambdaWorld, machineWorkers, machineNetwork, machineTypes } = simulator;

export const usualFaults = { ...simulator.Faults.parse({}), slowStorePerHour: 0 };
export const usd = ({ costNanoUsd }) => costNanoUsd.total / 1e9;
export const minutes = ({ timeMs }) => timeMs / 60_000;
export const RESNET18 = { paramCount: 11.7e6, sampleMs: 30, batchSize: 1_024, totalSteps: 600 };
export const BERT_MEDIUM = 41.4e6;

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

/** Of a sample's work, what more vCPUs speed up: smlt's sessions run one thread; other systems are assumed to use all. */
export const ONE_THREAD = 0.01;
export const ALL_VCPUS = 0.95;
export function worldOf({ paramCount, sampleMs }, { parallelShare = ONE_THREAD, faults = usualFaults, ...world }) {
  const work = { sampleMs, parallelShare, fixedMs: 20, peakMemoryMib: 180 + (16 * paramCount) / 2 ** 20, reloadBytes: 12 * paramCount };
  return lambdaWorld({ prices, work, faults, ...world });
}

/** smlt itself: the scheduler chooses on simulated functions. */
export function runSmlt(work, { exchange = 'redis', topology = 'scatter-reduce', compression, seed = 1, policy, ...world } = {}) {
  const made = worldOf(work, { exchange: exchanges[exchange], ...world });
  const step = { topology, compression, lanes: work.lanes, paramCount: work.paramCount, bufferCount: 0, slots: 2 };
  const job = { ...work.job, exchange, topology, compression };
  return simulateRun({
    world: made,
    seed,
    job,
    phases: (n, laneUnit) => smltPhases({ ...step, laneUnit }, n, made.exchange),
    ...(policy && { policy }),
  });
}
/** Another policy on smlt's own functions and exchange. It has no guards: limits are looked at afterwards. */
export const runPolicy = (work, policy, options = {}) =>
  runSmlt({ ...work, job: { ...work.job, probes: 0, goal: { minimize: work.job.goal.minimize } } }, { ...options, policy });

/** Another system with its own exchange under a policy. */
export function runOther(work, system, policy, { exchange, workers, faults, changes = [], seed = 1 }) {
  const world = worldOf(work, { exchange, faults, changes, parallelShare: ALL_VCPUS, ...(workers && { workers }) });
  const job = { ...work.job, goal: { minimize: 'cost' }, probes: 0 };
  return simulateRun({ world, seed, job, phases: (n) => baselinePhases(system, 4 * work.paramCount, n, exchange), policy });
}
/** The same at one allocation, for the whole job. */
export const runFixed = (work, system, allocation, options) => runOther(work, system, fixed(allocation, options.roundSteps ?? 100), options);

/** Where each system exchanges: a Redis node, S3, or a machine with 10 Gbit/s as parameter server. */
const parameterServer = { ...exchanges.redis, latencyMs: 1, storeBytesPerMs: 1.25e6, usdPerHour: 0.192 };
const machines = (type, memoryMib) => ({ system: 'ring', exchange: machineNetwork, workers: machineWorkers(machineTypes[type]), memories: [memoryMib], roundSteps: 1e9 }); // prettier-ignore
export const systems = {
  'LambdaML, S3, leader': { system: 'lambdaml-leader', exchange: exchanges.s3 },
  'LambdaML, S3, scatter-reduce': { system: 'lambdaml-scatter', exchange: exchanges.s3 },
  'LambdaML, Redis, scatter-reduce': { system: 'lambdaml-scatter', exchange: exchanges.redis },
  Cirrus: { system: 'cirrus', exchange: parameterServer },
  Siren: { system: 'siren', exchange: exchanges.s3 },
  'MLLess, 10 % significant': { system: 'mlless', exchange: exchanges.redis },
  'SMLT’s exchange, fixed': { system: 'smlt', exchange: exchanges.redis },
  'c5.large': machines('c5.large', 4_096),
  'm5.large': machines('m5.large', 8_192),
};
/** What somebody takes who tunes nothing. */
export const untuned = { workers: 100, memoryMib: 3_008 };
