// How synchronisation grows with workers: one quiet step, no faults, nothing computed.
import { BERT_MEDIUM, jobOf, laneUnitOf, ONE_THREAD, simulator, systems, worldOf } from '../systems.mjs';

const { baselinePhases, exchanges, fixed, noFaults, redisNodes, redisNodesFor, simulateRun, smltPhases } = simulator;

/** Median of five steps: the first waits for workers that start one after the other. */
export function syncMs(phasesOf, exchange, n, computeMs = 0) {
  const work = jobOf({ paramCount: 1, sampleMs: 1e-6, batchSize: 256, totalSteps: 5 });
  const made = worldOf(work, { exchange, faults: noFaults });
  const world = { ...made, work: { ...made.work, fixedMs: computeMs } };
  const job = { ...work.job, probes: 0 };
  return simulateRun({ world, seed: 1, job, phases: () => phasesOf(n, exchange), policy: fixed({ workers: n, memoryMib: 3_538 }, 5) }).rounds[0]
    .stepMs;
}
const of = (system, paramCount) => (n, exchange) => baselinePhases(system, 4 * paramCount, n, exchange);
const ours =
  (paramCount, more = {}) =>
  (n, exchange) => {
    const step = { topology: 'scatter-reduce', lanes: 256, paramCount, bufferCount: 0, slots: 2, ...more };
    const kind = exchange === exchanges.s3 ? 's3' : 'redis';
    const workload = { ...step, exchange: kind, batchSize: 256, sampleMs: 1e-6, parallelShare: ONE_THREAD, totalCores: Infinity };
    return smltPhases({ ...step, laneUnit: laneUnitOf(workload, { workers: n, memoryMib: 3_538 }) }, n, exchange);
  };

/** Seconds at 10 workers and at the most, as published. Source: SMLT's result files. */
const smltCurves = [
  { name: 'BERT-medium', paramCount: BERT_MEDIUM, firstS: 1.951, most: 100, growth: 2.4 },
  { name: 'BERT-small', paramCount: 28.8e6, firstS: 0.801, most: 60, growth: 2.7 },
  { name: 'ResNet-50', paramCount: 25.6e6, firstS: 2.36, most: 200, growth: 2.8 },
  { name: 'ResNet-18', paramCount: 11.7e6, firstS: 0.949, most: 200, growth: 3.4 },
];
/** The worker bandwidth at which a system takes as long at 10 workers as published: a curve's level, not its growth. */
function atLevel(phases, exchange, firstS) {
  let [slow, fast] = [1e3, 1e7];
  for (let i = 0; i < 50; i += 1) {
    const middle = Math.sqrt(slow * fast);
    const ms = syncMs(phases, { ...exchange, workerBytesPerMs: middle }, 10);
    if (ms > 1_000 * firstS) slow = middle;
    else fast = middle;
  }
  return { ...exchange, workerBytesPerMs: fast };
}
const grows = (phases, exchangeOf, from, to) => syncMs(phases, exchangeOf(to), to) / syncMs(phases, exchangeOf(from), from);

export function growthShapes(claims, tables) {
  // The one fitted number: the store's bandwidth, so that SMLT's BERT-medium grows as published.
  const growthAt = (storeBytesPerMs, { paramCount, firstS, most }) => {
    const exchange = atLevel(of('smlt', paramCount), { ...exchanges.redis, storeBytesPerMs }, firstS);
    return { growth: grows(of('smlt', paramCount), () => exchange, 10, most), exchange };
  };
  const [fittedTo] = smltCurves;
  let storeBytesPerMs = 1e6;
  for (let gbPerS = 4; gbPerS <= 20; gbPerS += 0.1)
    if (Math.abs(growthAt(gbPerS * 1e6, fittedTo).growth - 2.4) < Math.abs(growthAt(storeBytesPerMs, fittedTo).growth - 2.4))
      storeBytesPerMs = gbPerS * 1e6;
  for (const curve of smltCurves) {
    const { growth, exchange } = growthAt(storeBytesPerMs, curve);
    const fitted = curve === fittedTo ? `; the store is fitted to it: ${(storeBytesPerMs / 1e6).toFixed(1)} GB/s` : '; the same store';
    claims.near(`SMLT's exchange, ${curve.name}, 10 to ${curve.most} workers (${(exchange.workerBytesPerMs / 1e3).toFixed(0)} MB/s a worker by its level at 10${fitted})`, curve.growth, growth); // prettier-ignore
  }
  for (const [name, system, exchange, firstS, growth] of [
    ['Cirrus (parameter server)', 'cirrus', systems.Cirrus.exchange, 2.241, 11.5],
    ['Siren (all to all through S3)', 'siren', exchanges.s3, 8.251, 9.1],
  ]) {
    const own = atLevel(of(system, BERT_MEDIUM), exchange, firstS);
    claims.near(`${name}, BERT-medium, 10 to 100 workers`, growth, grows(of(system, BERT_MEDIUM), () => own, 10, 100)); // prettier-ignore
  }
  const { exchange: testbed } = growthAt(storeBytesPerMs, fittedTo);
  throughputPerDollar(claims, testbed);
  ownGrowth(claims);
  tables['seconds of synchronisation a step, BERT-medium'] = series.map(({ name, points }) => ({ name, ...Object.fromEntries(points.map(([n, s]) => [`n=${n}`, s.toPrecision(3)])) })); // prettier-ignore
  storesCompared(claims, tables);
}

/** SMLT's figure for it: BERT-medium computes 786 s on one worker, and a worker's price is its time. */
function throughputPerDollar(claims, exchange) {
  const counts = Array.from({ length: 39 }, (_, i) => 10 + 5 * i);
  const worth = (n) => 1 / (n * syncMs(of('smlt', BERT_MEDIUM), exchange, n, 786_000 / n) ** 2);
  const best = counts.reduce((a, b) => (worth(b) > worth(a) ? b : a));
  claims.near('throughput per dollar is best between few and many workers (83 to 96 published), BERT-medium', 90, best);
}

const severalNodes = (n) => redisNodes(redisNodesFor(n), n);
const lines = {
  'smlt on S3': [ours(BERT_MEDIUM), () => exchanges.s3],
  'smlt, bf16, on S3': [ours(BERT_MEDIUM, { compression: { kind: 'bf16' } }), () => exchanges.s3],
  'smlt on one Redis': [ours(BERT_MEDIUM), () => exchanges.redis],
  'smlt on Redis nodes by workers': [ours(BERT_MEDIUM), severalNodes],
  'SMLT on one Redis': [of('smlt', BERT_MEDIUM), () => exchanges.redis],
  Cirrus: [of('cirrus', BERT_MEDIUM), () => systems.Cirrus.exchange],
  Siren: [of('siren', BERT_MEDIUM), () => exchanges.s3],
};
const counts = [2, 4, 8, 10, 16, 32, 64, 100, 128];
export const series = Object.entries(lines).map(([name, [phases, exchangeOf]]) => ({
  name,
  points: counts.map((n) => [n, syncMs(phases, exchangeOf(n), n) / 1_000]),
}));
function ownGrowth(claims) {
  for (const name of ['smlt on S3', 'smlt on one Redis', 'smlt on Redis nodes by workers'])
    for (const [from, to] of [
      [10, 100],
      [8, 128],
    ]) {
      // prettier-ignore
      const growth = grows(...lines[name], from, to);
      claims.holds(`${name}: synchronisation grows less than 2 times from ${from} to ${to} workers`, '< 2', growth.toFixed(2), growth < 2);
    }
}

/** Redis against S3: latency decides for small models, bandwidth for large ones with many workers. */
function storesCompared(claims, tables) {
  const ratio = (paramCount, n) => syncMs(of('smlt', paramCount), exchanges.s3, n) / syncMs(of('smlt', paramCount), exchanges.redis, n);
  const sizes = { '0.06M': 6e4, '0.5M': 5e5, '11.7M': 11.7e6, '41.4M': BERT_MEDIUM };
  tables['S3’s seconds over one Redis node’s, SMLT’s exchange: above 1 Redis is faster'] = Object.entries(sizes).map(([parameters, paramCount]) => ({ parameters, ...Object.fromEntries(counts.map((n) => [`n=${n}`, ratio(paramCount, n).toFixed(2)])) })); // prettier-ignore
  claims.near('Redis is faster than S3 where latency counts (0.06M parameters), 10 workers', 6, ratio(6e4, 10));
  claims.near('the same, 100 workers', 3, ratio(6e4, 100));
  const crossover = counts.find((n) => ratio(BERT_MEDIUM, n) < 1);
  claims.holds('Redis against S3 crosses over: one node is faster with few workers, S3 with many (BERT-medium)', 'a crossover', crossover ? `from ${crossover} workers` : 'none', ratio(BERT_MEDIUM, 2) > 1 && crossover !== undefined); // prettier-ignore
}
