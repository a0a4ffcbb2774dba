import { parseWith } from '../contracts/job';
import { DecisionInput, type DecisionRequest, type MicroSample } from '../contracts/scheduling';
import { candidatesOf, leastMemoryMib } from './candidates';
import { recommend } from './choose';
import { COLD_START_MS, MAX_VCPUS, MIB_PER_VCPU, MICRO_PROBE_SHARE, MICRO_PROBE_SIZES_MIB, MICRO_PROBE_TIME_SHARE } from './constants';
import { nameExchanges } from './exchanges';
import { workloadOf } from './model/workload';
import { nanoUsdPerMs } from './overheads';
import { planContextOf, planGoalOf, planOf } from './plan';
import { formatCount, formatDuration, formatMib, formatUsd } from './words';

/** Micro-batches that one function computes: one to compile, and three times 1, 2 and 4. */
const GRADIENTS = 1 + 3 * (1 + 2 + 4);
/** What three times 1, 2 and 4 take at most: 4 s an iteration, and a first one that compiles. */
const LONGEST_MS = 9 * 4_000 + 4_000;
/** Program and data are read first. */
const LOAD_MS = 500;

export interface MicroProbePlan {
  /** Functions to measure on; none where it does not pay. */
  readonly sizesMib: readonly number[];
  /** Why there is none, for people. */
  readonly reason: string;
}

/**
 * Whether gradients on single functions are worth measuring before the first round, and on which. They count as little as
 * they cost: at most 0.5 % of the budget and of what the work is expected to cost, and 2 % of its time; else the largest
 * functions are left out, then all. Where an earlier run has seen the program, nothing is measured.
 * @param samples  of one micro-batch
 */
export function planMicroProbe(request: DecisionRequest, samples: number): MicroProbePlan {
  const input = nameExchanges(parseWith(DecisionInput, request, 'the scheduler’s input'));
  if (input.earlier.length > 0) return { sizesMib: [], reason: 'an earlier run of this program has been seen here' };
  const context = planContextOf(input);
  const target = recommend(
    candidatesOf(input).map((shape) => planOf(shape, context)),
    input.goal.minimize,
  );
  if (!target) return { sizesMib: [], reason: 'no allocation is within the bounds' };
  const { sampleMs } = workloadOf(input);
  const goal = planGoalOf(input);
  const expectedNanoUsd = target.prediction.remainingNanoUsd.p50;
  const mayNanoUsd = MICRO_PROBE_SHARE * Math.min(expectedNanoUsd, (goal.budgetNanoUsd ?? Infinity) - input.spentNanoUsd);
  const mayMs = MICRO_PROBE_TIME_SHARE * Math.min(target.prediction.remainingMs.p50, (goal.deadlineAtMs ?? Infinity) - input.nowMs);
  const takesMs = (memoryMib: number) => {
    const gradientsMs = Math.min(LONGEST_MS, (GRADIENTS * samples * sampleMs) / Math.min(1, memoryMib / MIB_PER_VCPU));
    return (input.program.coldStartMs ?? COLD_START_MS) + LOAD_MS + gradientsMs;
  };
  const costs = (memoryMib: number) => takesMs(memoryMib) * nanoUsdPerMs(memoryMib, input.prices) + input.prices.usdPerRequest * 1e9;
  const sizes = sizesOf(input);
  for (let count = sizes.length; count > 0; count--) {
    const tried = sizes.slice(0, count);
    const isAffordable = tried.reduce((sum, size) => sum + costs(size), 0) <= mayNanoUsd;
    if (isAffordable && Math.max(...tried.map(takesMs)) * (isFinite(input.bounds.totalCores) ? count : 1) <= mayMs)
      return { sizesMib: tried, reason: '' };
  }
  if (sizes.length === 0) return { sizesMib: [], reason: 'no function may have a whole vCPU and room for the program' };
  const [least] = sizes as [number];
  return {
    sizesMib: [],
    reason: `it would take ${formatDuration(takesMs(least))} and ${formatUsd(costs(least))}, and may take ${formatDuration(Math.max(0, mayMs))} and ${formatUsd(mayNanoUsd)} of a job like this`,
  };
}

/** The sizes of the rules as far as the job, the program, the platform and its cores allow, the smallest first. */
function sizesOf(input: DecisionInput): number[] {
  const { bounds } = input;
  const all = bounds.memoryMib === undefined ? MICRO_PROBE_SIZES_MIB : [bounds.memoryMib];
  const least = Math.max(bounds.minMemoryMib, leastMemoryMib(input));
  return all.filter(
    (size) => size >= least && size <= bounds.maxMemoryMib && Math.min(size / MIB_PER_VCPU, MAX_VCPUS) <= Math.max(1, bounds.totalCores),
  );
}

/** What a micro-probe has shown, in one sentence. */
export function describeMicroProbe(samples: readonly MicroSample[], nanoUsd: number): string {
  const sizes = [...new Set(samples.map(({ memoryMib }) => memoryMib))].sort((a, b) => a - b);
  const seen = sizes.map((memoryMib) => {
    const [first] = samples.filter((sample) => sample.memoryMib === memoryMib).sort((a, b) => a.samples - b.samples);
    return `${formatDuration(first!.computeMs)} at ${formatMib(memoryMib)}`;
  });
  const fewest = Math.min(...samples.map((sample) => sample.samples));
  return `Single functions took ${seen.join(', ')} for a gradient of ${formatCount(fewest, 'sample')} (micro-probe, ${formatUsd(nanoUsd)}).`;
}
