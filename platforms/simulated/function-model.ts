import type { FunctionRole, MetricSums } from '../../contracts/functions';
import type { RoundPlan } from '../../contracts/round';
import type { StepParts } from '../../contracts/scheduling';

/** What functions would do, without doing it. Pure: the same round gives the same times, however often it is asked for. */
export interface FunctionModel {
  readonly program: {
    readonly paramCount: number;
    readonly bufferCount: number;
    readonly peakMemoryMib: number;
    readonly forwardFlopsPerSample: number;
  };
  /** Samples of every split. */
  readonly samples: number;
  /** How one round goes that starts now. */
  round(plan: RoundPlan, nowMs: number): RoundModel;
  /** Mean training loss of a step; NaN: the training diverged. */
  lossAt(step: number): number;
  /** What evaluating so many samples at this step adds up to. */
  evaluate(step: number, samples: number): MetricSums;
  /** A gradient of so many samples on one function alone. Left out: micro-probes are refused, and teach nothing. */
  gradient?(samples: number, memoryMib: number): { readonly computeMs: number; readonly peakRssMib: number };
  /** Duration of a function that does not train. */
  durationMs(role: Exclude<FunctionRole, 'train'>, memoryMib: number): number;
  /** Whether the platform refuses invocations at this moment: throttled, or down. */
  refuses(role: FunctionRole, nowMs: number): boolean;
}
export interface RoundModel {
  /** Time of each of the round's steps: all workers meet at its end. */
  readonly stepMs: ArrayLike<number>;
  /** Where a step's time goes, as shares of it that add up to 1. */
  readonly shares: StepParts;
  readonly peakRssMib: number;
  /** Cold start of this worker's instance, ms. */
  initMs(worker: number): number;
  /** How long after its start this invocation of the worker dies; Infinity: it does not. */
  crashAfterMs(worker: number, invocation: number): number;
}
