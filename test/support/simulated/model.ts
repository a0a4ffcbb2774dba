import type { FunctionModel } from '../../../platforms/simulated';
import type { Allocation, RoundPlan } from '../../../contracts/round';
import { hashKeys, normalFrom, uniformStream } from '../../../scheduler/random';

export interface ModelOptions {
  readonly paramCount?: number;
  readonly samples?: number;
  /** What the scheduler is told; its first guess follows from it. */
  readonly forwardFlopsPerSample?: number;
  /** Median time of one step; its noise has an SD of 3 %. */
  readonly stepMs?: (allocation: Allocation, plan: RoundPlan, nowMs: number) => number;
  readonly peakRssMib?: (allocation: Allocation) => number;
  /** Chance that one invocation dies within an hour of running. */
  readonly crashesPerHour?: number;
  readonly crashAfterMs?: (plan: RoundPlan, worker: number, invocation: number) => number;
  readonly refuses?: FunctionModel['refuses'];
  readonly lossAt?: (step: number) => number;
  /** One sample's on one vCPU, as a micro-probe measures it. */
  readonly gradientMs?: number;
  readonly seed?: number;
}

/** A steady machine: a batch takes `batchMs` on one worker, and the exchange a little for each worker. */
export const dividedWork =
  (batchMs: number, perWorkerMs = 1) =>
  ({ workers, memoryMib }: Allocation): number =>
    batchMs / workers / Math.min(1, memoryMib / 1_769) + 4 + perWorkerMs * Math.log2(workers + 1);

export function createModel(options: ModelOptions = {}): FunctionModel {
  const { paramCount = 4_096, samples = 10_000, crashesPerHour = 0, gradientMs, seed = 1 } = options;
  const { stepMs = dividedWork(4_000), peakRssMib = () => 250, lossAt = (step: number) => 0.1 + 2 / (1 + step / 50) } = options;
  return {
    program: { paramCount, bufferCount: 0, peakMemoryMib: 200, forwardFlopsPerSample: options.forwardFlopsPerSample ?? 5e6 },
    samples,
    lossAt,
    round(plan, nowMs) {
      const medianMs = stepMs(plan.allocation, plan, nowMs);
      const uniform = uniformStream(seed, plan.round, plan.first, plan.track.length);
      const steps = Float64Array.from({ length: plan.last - plan.first }, () => medianMs * Math.exp(0.03 * normalFrom(uniform)));
      return {
        stepMs: steps,
        shares: { computeMs: 0.8, uploadMs: 0.05, waitMs: 0.1, downloadMs: 0.04, reduceMs: 0.01, otherMs: 0 },
        peakRssMib: peakRssMib(plan.allocation),
        initMs: (worker) => 300 + 10 * (hashKeys(seed, worker) % 20),
        crashAfterMs(worker, invocation) {
          if (options.crashAfterMs) return options.crashAfterMs(plan, worker, invocation);
          if (crashesPerHour === 0) return Infinity;
          const draw = uniformStream(seed, plan.round, worker, invocation, 77)();
          return (-Math.log(draw) * 3_600_000) / crashesPerHour;
        },
      };
    },
    evaluate: (step, count) => {
      const correct = Math.floor(count * (1 - 0.9 / (1 + step / 20)));
      return {
        ...{ samples: count, lossSum: count * lossAt(step), correct, confusion: [], values: count },
        ...{ squaredErrorSum: 0, absoluteErrorSum: 0, targetSum: 0, targetSquaredSum: 0 },
        ...{ weightSum: count, decisions: count, ranks: [], perClass: { right: [], named: [], had: [] }, scores: { positive: '', negative: '' } },
      };
    },
    ...(gradientMs !== undefined && {
      gradient: (count, memoryMib) => ({ computeMs: (count * gradientMs) / Math.min(1, memoryMib / 1_769), peakRssMib: 250 }),
    }),
    durationMs: (role) => ({ prepare: 4_000, evaluate: 6_000, export: 2_000, predict: 50 })[role],
    refuses: options.refuses ?? (() => false),
  };
}
