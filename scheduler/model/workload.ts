import type { AllocationBounds, DecisionInput, ExchangeKind } from '../../contracts/scheduling';
import {
  BASE_MEMORY_MIB,
  BYTES_PER_PARAMETER,
  FLOPS_PER_MS,
  MAX_VCPUS,
  MIB_PER_VCPU,
  TRAINING_PER_FORWARD_FLOPS,
  WORKER_BYTES_PER_MS,
} from '../constants';
import type { ComponentPrior } from './component';

/** The part of an allocation that sets a step's time. */
export interface Shape {
  readonly workers: number;
  readonly memoryMib: number;
}
/** What one step is made of, whoever runs it. */
export interface Workload {
  readonly paramCount: number;
  readonly bufferCount: number;
  readonly batchSize: number;
  readonly lanes: number;
  /** One sample, forward and backward, on one vCPU: the prior's guess. */
  readonly sampleMs: number;
  /** Share of the compute that more than one vCPU speeds up. */
  readonly parallelShare: number;
  readonly totalCores: number;
  readonly exchange: ExchangeKind;
}

/** Latency of one exchange request and the store's own bandwidth. Source: rules, section 2; files: one step's barrier on tmpfs, about 1 ms. */
const exchanges: Record<ExchangeKind, { latencyMs: number; storeBytesPerMs: number; workerBytesPerMs: number }> = {
  files: { latencyMs: 1, storeBytesPerMs: 2e6, workerBytesPerMs: 4e5 },
  redis: { latencyMs: 1.2, storeBytesPerMs: 1e6, workerBytesPerMs: WORKER_BYTES_PER_MS },
  s3: { latencyMs: 25, storeBytesPerMs: 2e7, workerBytesPerMs: WORKER_BYTES_PER_MS },
};
const PARALLEL_REQUESTS = 8;
/** Adam's two moments, the most that an optimiser here keeps. */
const STATE_SLOTS = 2;
const BYTES_PER_FLOAT = 4;

export function workloadOf(input: DecisionInput): Workload {
  const { program, batchSize, lanes, bounds, exchange } = input;
  return {
    paramCount: program.paramCount,
    bufferCount: program.bufferCount,
    batchSize,
    lanes,
    // A forward pass of unknown size is taken as one multiplication and addition a parameter.
    sampleMs:
      program.gradientMsPerSample ?? (TRAINING_PER_FORWARD_FLOPS * Math.max(program.forwardFlopsPerSample, 2 * program.paramCount)) / FLOPS_PER_MS,
    // Sessions run one thread, so that weights keep their bits; garbage collection and input/output have the rest.
    parallelShare: 0.01,
    totalCores: bounds.totalCores,
    exchange,
  };
}

/** vCPUs of one worker: AWS's share by memory, and no more than its part of the cores that really exist. */
export function vcpusOf({ workers, memoryMib }: Shape, totalCores: number): number {
  return Math.min(memoryMib / MIB_PER_VCPU, MAX_VCPUS, totalCores / workers);
}

/** The slowest worker's lanes: the barrier waits for it, so an uneven cut is paid here. */
export const lanesOfSlowest = (lanes: number, workers: number): number => Math.ceil(lanes / workers);

/** Maximal tree nodes that contiguous, nearly even lane ranges are made of: one each when aligned. Mean a worker. */
export function nodesPerWorker(lanes: number, workers: number): number {
  const known = nodesKnown.get(lanes)?.get(workers);
  if (known !== undefined) return known;
  const nodes = countNodes(lanes, workers);
  nodesKnown.set(lanes, (nodesKnown.get(lanes) ?? new Map<number, number>()).set(workers, nodes));
  return nodes;
}
/** A pure function's answers: at most one for each number of lanes and workers. */
const nodesKnown = new Map<number, Map<number, number>>();

function countNodes(lanes: number, workers: number): number {
  if (lanes % workers === 0 && Number.isInteger(Math.log2(lanes / workers))) return 1;
  let nodes = 0;
  for (let worker = 0; worker < workers; worker += 1) {
    let from = Math.ceil((worker * lanes) / workers);
    const to = Math.ceil(((worker + 1) * lanes) / workers);
    for (; from < to; nodes += 1) {
      let size = from === 0 ? lanes : from & -from;
      while (size > to - from) size /= 2;
      from += size;
    }
  }
  return nodes / workers;
}

export interface StepTraffic {
  readonly bytes: number;
  readonly puts: number;
  readonly gets: number;
}
/**
 * What one worker moves in a step by hierarchical scatter-reduce: its partials and its share of params and state out,
 * the others' partials of its ranges and the other ranges' params in. Aligned: (3n-1)/n G plus state/n.
 */
export function trafficOf(workload: Workload, workers: number): StepTraffic {
  const vector = BYTES_PER_FLOAT * (workload.paramCount + workload.bufferCount);
  const state = BYTES_PER_FLOAT * STATE_SLOTS * workload.paramCount;
  const own = nodesPerWorker(workload.lanes, workers);
  const foreign = own * (workers - 1);
  return {
    bytes: vector * (own + foreign / workers + 1 / workers + (workers - 1) / workers) + state / workers,
    puts: own * workers + 2,
    gets: foreign + workers - 1,
  };
}

/** C = k1 b/v1 + k2 b/v + k3/v1 + k4 b L/v: serial, parallel, fixed part, straggler at the barrier (L = sqrt(2 ln n)). */
export function computeFeatures(workload: Workload, shape: Shape): number[] {
  const samples = (workload.batchSize / workload.lanes) * lanesOfSlowest(workload.lanes, shape.workers);
  const all = vcpusOf(shape, workload.totalCores);
  const one = Math.min(all, 1);
  return [
    samples / one,
    samples / all,
    1 / one,
    (samples * Math.sqrt(2 * Math.log(shape.workers))) / Math.min(all, workload.parallelShare < 0.5 ? 1 : all),
  ];
}
export function computePrior({ sampleMs, parallelShare }: Workload): ComponentPrior {
  // Source: rules, section 3, step 2: (0.15, 0.85, 2, 0.06) c0 for parallel code.
  return { theta: [(1 - parallelShare) * sampleMs, parallelShare * sampleMs, 2 * sampleMs, 0.06 * sampleMs], relativeSd: [1.5, 1.5, 2, 1.5] };
}

/** S = s1 X/bw + s2 n X/A + s3 R l + s4 2 l: own network, the store's, requests in turn, the two barriers. */
export function syncFeatures(workload: Workload, shape: Shape): number[] {
  const { latencyMs, storeBytesPerMs, workerBytesPerMs } = exchanges[workload.exchange];
  const traffic = trafficOf(workload, shape.workers);
  const bandwidth = workerBytesPerMs * Math.min(1, Math.sqrt(vcpusOf(shape, workload.totalCores)));
  return [
    traffic.bytes / bandwidth,
    (shape.workers * traffic.bytes) / storeBytesPerMs,
    ((traffic.puts + traffic.gets) / PARALLEL_REQUESTS) * latencyMs,
    2 * latencyMs,
  ];
}
/** Source: rules, section 3, step 2. */
export const syncPrior: ComponentPrior = { theta: [1, 0.5, 1, 1], relativeSd: [0.3, 1.5, 0.5, 1] };

/** Estimated resident memory of one worker. */
export const estimatedMemoryMib = (paramCount: number, peakMemoryMib: number): number =>
  Math.max(peakMemoryMib, BASE_MEMORY_MIB + (BYTES_PER_PARAMETER * paramCount) / 2 ** 20);

/** Where an allocation lies for the residual process: both axes on a logarithmic scale of about one. Source: rules, section 3. */
export const positionOf = ({ workers, memoryMib }: Shape): number[] => [Math.log2(workers) / 8, Math.log2(memoryMib / 512) / 4.3];

/** The most workers that a bound, a lane or an existing core can use. */
export function mostWorkers(bounds: AllocationBounds, lanes: number, workersAbove: number | undefined): number {
  return Math.min(bounds.maxWorkers, bounds.concurrency, lanes, workersAbove ?? Infinity);
}
