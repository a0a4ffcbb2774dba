import { z } from 'zod';

const Share = z.number().min(0, 'expected a share from 0 to 1').max(1, 'expected a share from 0 to 1');
const Rate = z.number().min(0, 'expected 0 or more');
const Factor = z.number().min(1, 'expected a factor of at least 1');

/** What goes wrong, and how often. Defaults: what has been seen on serverless platforms (docs/simulator.md names sources). */
export const Faults = z.strictObject({
  /** SD of the logarithm of a step's compute time. */
  computeSd: Rate.default(0.08),
  /** Share of single steps that take 1.5 to 4 times as long. */
  stragglers: Share.default(0.005),
  /** Share of instances that are slow as long as they live, 1.2 to 1.5 times. */
  slowInstances: Share.default(0.02),
  /** SD of the logarithm of a worker's bandwidth. */
  bandwidthSd: Rate.default(0.15),
  crashesPerHour: Rate.default(0.072),
  /** Share of invocations that are refused at first and tried again. */
  throttled: Share.default(0),
  /** Share of invocations that arrive twice. */
  duplicates: Share.default(0),
  /** Share of values that are lost and written again. */
  lostValues: Share.default(0),
  /** Times an hour at which the store becomes slow for about a minute, by this factor. */
  slowStorePerHour: Rate.default(1),
  slowStoreFactor: Factor.default(2),
  coldStartMs: Rate.default(400),
  coldStartSd: Rate.default(0.5),
});
export type Faults = z.output<typeof Faults>;
/** Nothing goes wrong and nothing varies. */
export const noFaults: Faults = {
  ...{ computeSd: 0, stragglers: 0, slowInstances: 0, bandwidthSd: 0, crashesPerHour: 0, throttled: 0, duplicates: 0, lostValues: 0 },
  ...{ slowStorePerHour: 0, slowStoreFactor: 1, coldStartMs: 400, coldStartSd: 0 },
};

/** What runs the workers, and how it is charged. */
export interface WorkerKind {
  vcpus(memoryMib: number): number;
  usdPerMs(memoryMib: number): number;
  readonly usdPerStart: number;
  readonly leastBilledMs: number;
  /** Longest life of one invocation; Infinity: machines. */
  readonly limitMs: number;
  /** Until so many workers of a cold cluster are there, beside each one's cold start. */
  startMs(workers: number): number;
  /** Workers start one after the other. */
  readonly startSpreadMs: number;
}

/** Where values are exchanged. */
export interface ExchangeModel {
  readonly latencyMs: number;
  /** Of one worker with one vCPU or more; smaller ones have its square root. */
  readonly workerBytesPerMs: number;
  readonly storeBytesPerMs: number;
  readonly requestsPerMs: number;
  readonly usdPerHour: number;
  readonly usdPerPut: number;
  readonly usdPerGet: number;
  readonly usdPerByte: number;
}

/** The training itself, as the machines will find it. */
export interface Work {
  /** One sample forward and backward on one vCPU. */
  readonly sampleMs: number;
  /** Share of it that more than one vCPU speeds up. */
  readonly parallelShare: number;
  readonly fixedMs: number;
  readonly peakMemoryMib: number;
  /** Parameters and state: what a worker that starts in the middle reads. */
  readonly reloadBytes: number;
}

/** From a moment on, everything of a kind takes so many times as long. */
export interface Change {
  readonly atMs: number;
  readonly compute?: number;
  readonly exchange?: number;
}

export interface World {
  readonly workers: WorkerKind;
  readonly exchange: ExchangeModel;
  readonly work: Work;
  readonly faults: Faults;
  readonly changes: readonly Change[];
  /** A round in the workflow, beside its functions. */
  orchestrationMs(workers: number): number;
  /** A function's time before its first step and after its last one. */
  readonly turnMs: number;
  readonly usdPerPut: number;
  readonly usdPerGet: number;
}

/** One step's compute time of a worker with so many samples, without noise. */
export function computeMsOf({ work, workers }: World, samples: number, memoryMib: number): number {
  const all = workers.vcpus(memoryMib);
  const one = Math.min(all, 1);
  const { sampleMs, parallelShare, fixedMs } = work;
  return (samples * sampleMs * (1 - parallelShare) + fixedMs) / one + (samples * sampleMs * parallelShare) / all;
}

/** The product of all changes so far. */
export function changedBy(changes: readonly Change[], nowMs: number, kind: 'compute' | 'exchange'): number {
  let factor = 1;
  for (const change of changes) if (change.atMs <= nowMs) factor *= change[kind] ?? 1;
  return factor;
}
