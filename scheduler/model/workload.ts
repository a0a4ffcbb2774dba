import { mostLanes } from '../../contracts/cut';
import type { AllocationBounds, DecisionInput, Prices, Relative } from '../../contracts/scheduling';
import { BASE_MEMORY_MIB, BYTES_PER_PARAMETER, FLOPS_PER_MS, MAX_VCPUS, MIB_PER_VCPU, TRAINING_PER_FORWARD_FLOPS } from '../constants';
import { median } from '../normal';
import type { ComponentPrior, ComponentSample } from './component';
import { parallelShareOf } from './threads';
import type { Shape, Workload } from './step-workload';
import { SYNC_WEIGHTS, syncTerms, trafficOf } from './traffic';

export type { Shape, Workload } from './step-workload';

export function workloadOf(input: DecisionInput): Workload {
  const { program, batchSize, lanes, bounds, exchange } = input;
  return {
    paramCount: program.paramCount,
    bufferCount: program.bufferCount,
    batchSize,
    lanes,
    sampleMs: program.gradientMsPerSample ?? countedSampleMs(program),
    parallelShare: parallelShareOf(program),
    totalCores: bounds.totalCores,
    exchange: input.exchanges?.[0]?.kind ?? exchange,
    exchanges: input.exchanges,
    shards: input.exchanges?.[0]?.shards,
    topology: input.topology,
    groups: input.groups,
    compression: input.compression,
    localSteps: input.localSteps,
  };
}

/** By operations; a forward pass of unknown size is taken as one multiplication and addition a parameter. */
const countedSampleMs = ({ forwardFlopsPerSample, paramCount }: Pick<DecisionInput['program'], 'forwardFlopsPerSample' | 'paramCount'>): number =>
  (TRAINING_PER_FORWARD_FLOPS * Math.max(forwardFlopsPerSample, 2 * paramCount)) / FLOPS_PER_MS;

/** Another program's workload in the same place, and how many times as long a sample of this one computes. */
export function relatedWorkload(
  own: Workload,
  ownProgram: DecisionInput['program'],
  relative: Relative,
): { workload: Workload; computeRatio: number } {
  const { program, batchSize, lanes, topology, groups, compression } = relative;
  const [mine, its] = [ownProgram.gradientMsPerSample, program.gradientMsPerSample];
  // Counted against counted, or measured against measured: their errors have nothing in common.
  const computeRatio = mine && its ? mine / its : countedSampleMs(ownProgram) / countedSampleMs(program);
  const { paramCount, bufferCount } = program;
  return { workload: { ...own, paramCount, bufferCount, batchSize, lanes, topology, groups, compression }, computeRatio };
}

/** vCPUs of one worker: AWS's share by memory, and no more than its part of the cores that really exist. */
export function vcpusOf({ workers, memoryMib }: Shape, totalCores: number): number {
  return Math.min(memoryMib / MIB_PER_VCPU, MAX_VCPUS, totalCores / workers);
}

/** The same step over the exchange that an allocation names, cut as it says. */
export const over = (workload: Workload, { exchange, shards, laneUnit }: Pick<Shape, 'exchange' | 'shards' | 'laneUnit'>): Workload => {
  if (exchange !== undefined) return { ...workload, exchange, shards, laneUnit };
  return laneUnit === undefined ? workload : { ...workload, laneUnit };
};

/** What a store charges for all requests of a step: only object stores charge by the request. */
export function exchangeNanoUsd(workload: Workload, shape: Shape, prices: Prices): number {
  const { exchange } = over(workload, shape);
  if (exchange !== 's3' && exchange !== 'hybrid') return 0;
  const { puts, gets, lasting } = trafficOf(over(workload, shape), shape.workers);
  return exchange === 'hybrid' ? lasting.puts * prices.usdPerPut * 1e9 : (puts * prices.usdPerPut + gets * prices.usdPerGet) * 1e9;
}

/** What an allocation's exchange is rented for. */
export function rentNanoUsdPerMs({ exchanges = [] }: Workload, { exchange, shards = 1 }: Shape): number {
  const option = exchange === undefined ? exchanges[0] : exchanges.find((each) => each.kind === exchange && each.shards === shards);
  return ((option?.usdPerHour ?? 0) * 1e9) / MS_PER_HOUR;
}
const MS_PER_HOUR = 3_600_000;

/** C = k1 b/v1 + k2 b/v + k3/v1 + k4 b L/v: serial, parallel, fixed part, straggler at the barrier (L = sqrt(2 ln n)). */
export function computeFeatures(workload: Workload, shape: Shape): number[] {
  // The barrier waits for the slowest worker, so an uneven cut is paid here.
  const samples = (workload.batchSize / workload.lanes) * mostLanes(workload.lanes, shape.workers, shape.laneUnit);
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
/** A step's compute by the prior alone. */
export function computeGuessMs(workload: Workload, shape: Shape): number {
  const { theta } = computePrior(workload, []);
  return computeFeatures(workload, shape).reduce((sum, feature, j) => sum + theta[j]! * feature, 0);
}
/** A program may not use threads at all, whatever was guessed: the serial share goes up to all there is. */
const COMPUTE_RELATIVE_SD = [3, 1, 2, 1.5];

/** S = s1 X/bw + s2 n X/A + s3 R l + s4 2 l + s5 n/64 (n X/A + R l): own network, the store's, requests in turn, the barriers, a store that saturates. */
export function syncFeatures(workload: Workload, shape: Shape): number[] {
  return syncTerms(over(workload, shape), shape.workers, Math.min(1, Math.sqrt(vcpusOf(shape, workload.totalCores))));
}
export const syncPrior: ComponentPrior = { theta: SYNC_WEIGHTS, relativeSd: [0.3, 1.5, 0.5, 1, 3] };
/**
 * The same for an exchange so far slower than expected that the prior would outvote whatever was measured of it. What is
 * negligible beside its step says nothing here: a lone worker's few ms may be many times those expected.
 */
export function syncPriorFor(samples: readonly Pick<ComponentSample, 'features' | 'valueMs' | 'floorMs'>[]): ComponentPrior {
  const measured = samples.filter(({ valueMs, floorMs }) => valueMs > floorMs);
  const guessMs = (features: readonly number[]) => features.reduce((sum, phi, j) => sum + SYNC_WEIGHTS[j]! * phi, 0);
  const scale = median(measured.map(({ features, valueMs }) => valueMs / guessMs(features)));
  return scale > FAR_SLOWER ? { ...syncPrior, theta: SYNC_WEIGHTS.map((weight) => scale * weight) } : syncPrior;
}
/** More than a straggler is. */
const FAR_SLOWER = 4;

/** Estimated resident memory of one worker. */
export const estimatedMemoryMib = (paramCount: number, peakMemoryMib: number): number =>
  Math.max(peakMemoryMib, BASE_MEMORY_MIB + (BYTES_PER_PARAMETER * paramCount) / 2 ** 20);

/** Where an allocation lies for the residual process: both axes on a logarithmic scale of about one. Source: rules, section 3. */
export const positionOf = ({ workers, memoryMib }: Shape): number[] => [Math.log2(workers) / 8, Math.log2(memoryMib / 512) / 4.3];

/** The most workers that a bound, a lane or an existing core can use. */
export function mostWorkers(bounds: AllocationBounds, lanes: number, workersAbove: number | undefined): number {
  return Math.min(bounds.maxWorkers, bounds.concurrency, lanes, workersAbove ?? Infinity);
}
