import type { Compression } from '../../contracts/compression';
import type { AllocationBounds, DecisionInput, ExchangeKind, Prices } from '../../contracts/scheduling';
import { cutOf } from '../../contracts/cut';
import { barriersOf, stepTraffic, type StepShape } from '../../contracts/step-traffic';
import type { Topology } from '../../contracts/synchronization';
import {
  BASE_MEMORY_MIB,
  BYTES_PER_PARAMETER,
  FLOPS_PER_MS,
  MAX_VCPUS,
  MIB_PER_VCPU,
  TRAINING_PER_FORWARD_FLOPS,
  WORKER_BYTES_PER_MS,
} from '../constants';
import { median } from '../normal';
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
  readonly topology: Topology;
  readonly groups?: number | undefined;
  readonly compression?: Compression | undefined;
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
    parallelShare: program.parallelShare ?? 0.01,
    totalCores: bounds.totalCores,
    exchange,
    topology: input.topology,
    compression: input.compression,
  };
}

/** vCPUs of one worker: AWS's share by memory, and no more than its part of the cores that really exist. */
export function vcpusOf({ workers, memoryMib }: Shape, totalCores: number): number {
  return Math.min(memoryMib / MIB_PER_VCPU, MAX_VCPUS, totalCores / workers);
}

/** The slowest worker's lanes: the barrier waits for it, so an uneven cut is paid here. */
export const lanesOfSlowest = (lanes: number, workers: number): number => Math.ceil(lanes / workers);

export interface SyncTraffic {
  /** Written and read, of the worker that moves most: the others wait for it. */
  readonly busiestBytes: number;
  /** Of all workers: what the store moves. */
  readonly totalBytes: number;
  /** Of all workers. */
  readonly puts: number;
  readonly gets: number;
  /** Puts and gets of the worker that makes most of them. */
  readonly requests: number;
  /** Waits in a row for somebody else's value. */
  readonly barriers: number;
}
/** What a step moves through the exchange, exactly as functions do it (docs/synchronisation.md), for Adam's state. */
export function trafficOf(workload: Workload, atWorkers: number): SyncTraffic {
  const { topology, groups, compression, lanes, paramCount, bufferCount } = workload;
  const workers = Math.min(atWorkers, lanes); // an observation may be of a job with more lanes
  const key = [topology, groups, JSON.stringify(compression), lanes, paramCount, bufferCount, workers].join(' ');
  const known = trafficKnown.get(key);
  if (known !== undefined) return known;
  const shape: StepShape = {
    topology,
    groups,
    cut: cutOf({ topology, lanes, paramCount, workers }),
    lanes,
    paramCount,
    bufferCount,
    slots: STATE_SLOTS,
    compression,
  };
  const byWorker = stepTraffic(shape);
  const bytes = byWorker.map(({ bytesWritten, bytesRead }) => bytesWritten + bytesRead);
  const traffic = {
    busiestBytes: Math.max(...bytes),
    totalBytes: bytes.reduce((sum, one) => sum + one, 0),
    puts: byWorker.reduce((sum, { puts }) => sum + puts, 0),
    gets: byWorker.reduce((sum, { gets }) => sum + gets, 0),
    requests: Math.max(...byWorker.map(({ puts, gets }) => puts + gets)),
    barriers: barriersOf(shape),
  };
  if (trafficKnown.size >= MOST_KNOWN) trafficKnown.clear();
  trafficKnown.set(key, traffic);
  return traffic;
}
/** A pure function's answers. */
const trafficKnown = new Map<string, SyncTraffic>();
const MOST_KNOWN = 1_024;

/** What a store charges for all requests of a step: only object stores charge by the request. */
export function exchangeNanoUsd(workload: Workload, workers: number, prices: Prices): number {
  if (workload.exchange !== 's3') return 0;
  const { puts, gets } = trafficOf(workload, workers);
  return (puts * prices.usdPerPut + gets * prices.usdPerGet) * 1e9;
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
/** The same for a micro-batch on one function alone, which waits for nobody. */
export function microFeatures(workload: Workload, memoryMib: number, samples: number): number[] {
  const all = Math.min(memoryMib / MIB_PER_VCPU, MAX_VCPUS, workload.totalCores);
  const one = Math.min(all, 1);
  return [samples / one, samples / all, 1 / one, 0];
}
/** Where as many workers lie as would have that many samples each. */
export function microPosition({ batchSize, lanes }: Workload, memoryMib: number, samples: number): number[] {
  return positionOf({ workers: Math.max(1, Math.min(lanes, batchSize / samples)), memoryMib });
}
/**
 * Shares of the work's size in serial, parallel, fixed part and straggler. The size is counted from operations until
 * something was measured: a guess that may be far off must not pull at the measurements.
 */
export function computePrior(
  { sampleMs, parallelShare }: Workload,
  measured: readonly { features: readonly number[]; valueMs: number }[],
): ComponentPrior {
  // Source: rules, section 3, step 2: (0.15, 0.85, 2, 0.06) c0 for parallel code.
  const shares = [1 - parallelShare, parallelShare, 2, 0.06];
  const guessMs = (features: readonly number[]) => shares.reduce((sum, share, j) => sum + share * sampleMs * features[j]!, 0);
  const scale = Math.exp(median(measured.map(({ features, valueMs }) => Math.log(valueMs / guessMs(features)))) || 0);
  return { theta: shares.map((share) => share * scale * sampleMs), relativeSd: COMPUTE_RELATIVE_SD };
}
/** A program may not use threads at all, whatever was guessed: the serial share goes up to all there is. */
const COMPUTE_RELATIVE_SD = [3, 1, 2, 1.5];

/** S = s1 X/bw + s2 n X/A + s3 R l + s4 2 l + s5 n/64 (n X/A + R l): own network, the store's, requests in turn, the barriers, a store that saturates. */
export function syncFeatures(workload: Workload, shape: Shape): number[] {
  const { latencyMs, storeBytesPerMs, workerBytesPerMs } = exchanges[workload.exchange];
  const traffic = trafficOf(workload, shape.workers);
  const bandwidth = workerBytesPerMs * Math.min(1, Math.sqrt(vcpusOf(shape, workload.totalCores)));
  const storeMs = traffic.totalBytes / storeBytesPerMs;
  const requestsMs = (traffic.requests / PARALLEL_REQUESTS) * latencyMs;
  const barriersMs = Math.max(2, traffic.barriers) * latencyMs;
  return [traffic.busiestBytes / bandwidth, storeMs, requestsMs, barriersMs, (shape.workers / SATURATION_WORKERS) * (storeMs + requestsMs)];
}
/** Where a store's own queue begins to show, if it does. */
const SATURATION_WORKERS = 64;
/** Source: rules, section 3, step 2. */
export const syncPrior: ComponentPrior = { theta: [1, 0.5, 1, 1, 0.1], relativeSd: [0.3, 1.5, 0.5, 1, 3] };

/** Estimated resident memory of one worker. */
export const estimatedMemoryMib = (paramCount: number, peakMemoryMib: number): number =>
  Math.max(peakMemoryMib, BASE_MEMORY_MIB + (BYTES_PER_PARAMETER * paramCount) / 2 ** 20);

/** Where an allocation lies for the residual process: both axes on a logarithmic scale of about one. Source: rules, section 3. */
export const positionOf = ({ workers, memoryMib }: Shape): number[] => [Math.log2(workers) / 8, Math.log2(memoryMib / 512) / 4.3];

/** The most workers that a bound, a lane or an existing core can use. */
export function mostWorkers(bounds: AllocationBounds, lanes: number, workersAbove: number | undefined): number {
  return Math.min(bounds.maxWorkers, bounds.concurrency, lanes, workersAbove ?? Infinity);
}
