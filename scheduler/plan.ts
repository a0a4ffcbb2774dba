import { sameShape } from '../contracts/allocation';
import { objectiveOf } from '../contracts/goal';
import type { Allocation } from '../contracts/round';
import type { DecisionInput, Prediction, Quantiles, ResolvedGoal } from '../contracts/scheduling';
import { BURST_REFILL_MS, BURST_WORKERS, FUNCTION_DRAIN_MS, FUNCTION_LIMIT_MS, LIMIT_SHARE, START_SPREAD_MS_PER_WORKER } from './constants';
import { fitPerformance, type PerformanceModel } from './model/performance';
import { exchangeNanoUsd, rentNanoUsdPerMs, workloadOf, type Shape, type Workload } from './model/workload';
import { normalCdf, Z95 } from './normal';
import { fitOverheads, nanoUsdPerMs, type Overheads } from './overheads';
import { stepsPerRound } from './rounds';

/** What is left of each limit; absent where the goal names none. */
export interface Limits {
  readonly timeMs: number | undefined;
  readonly nanoUsd: number | undefined;
}
/** The rest of the work at one allocation. */
export interface Plan {
  readonly allocation: Allocation;
  readonly prediction: Prediction;
  readonly objective: number;
  /** SD of the objective's logarithm. */
  readonly logSd: number;
  readonly limits: Limits;
  /** One step's p95 in nano-dollars, and a round's part that does not grow with steps. */
  readonly stepNanoUsdP95: number;
  readonly roundFixedNanoUsdP95: number;
  readonly stepMs: number;
  readonly stepNanoUsd: number;
  /** What it costs to begin with this allocation; 0 for the current one. */
  readonly startMs: number;
  readonly startNanoUsd: number;
}
export interface PlanContext {
  readonly input: DecisionInput;
  readonly workload: Workload;
  readonly model: PerformanceModel;
  readonly overheads: Overheads;
  readonly limits: Limits;
}

/** Never believed more exactly than this. */
const LEAST_LOG_SD = 0.03;
/** A round's fixed part may be this much dearer than usual. */
const FIXED_P95_FACTOR = 1.5;

/** The goal that plans are held against. */
export const planGoalOf = ({ phase, goal, wholeGoal }: DecisionInput): ResolvedGoal =>
  phase === 'profile' ? (wholeGoal ?? { minimize: goal.minimize }) : goal;

export function limitsOf(input: DecisionInput): Limits {
  const { nowMs, spentNanoUsd, reservedNanoUsd } = input;
  const goal = planGoalOf(input);
  return {
    timeMs: goal.deadlineAtMs === undefined ? undefined : LIMIT_SHARE * (goal.deadlineAtMs - nowMs),
    nanoUsd: goal.budgetNanoUsd === undefined ? undefined : LIMIT_SHARE * goal.budgetNanoUsd - spentNanoUsd - reservedNanoUsd,
  };
}

/** Start of n functions: one after the other from the same source, and slower beyond the burst. */
export const startMs = (workers: number, coldStartMs: number): number =>
  coldStartMs +
  START_SPREAD_MS_PER_WORKER * workers +
  (workers > BURST_WORKERS ? BURST_REFILL_MS * Math.ceil((workers - BURST_WORKERS) / BURST_WORKERS) : 0);

/** Prices and times all that remains at one shape, from its predicted step. */
export function planOf(shape: Shape, { input, workload, model, overheads, limits }: PlanContext): Plan {
  const { workers, memoryMib } = shape;
  const { current, remainingSteps, observations, prices, batchSize } = input;
  const predicted = model(shape);
  const logSd = Math.max(predicted.logSd, LEAST_LOG_SD);
  const isCurrent = current !== undefined && sameShape(current, shape);
  const seen = observations
    .filter((o) => sameShape(o.allocation, shape) && (o.batchSize ?? batchSize) === batchSize)
    .reduce((sum, o) => sum + o.merged, 0);
  const overheadMs = overheads.orchestrationMs + overheads.turnMs;
  const steps = stepsPerRound({ stepMs: predicted.stepMs, overheadMs, remainingSteps, roundsSeen: seen, mostSteps: input.mostRoundSteps });
  const rounds = Math.ceil(remainingSteps / steps);
  const coldMs = isCurrent ? 0 : startMs(workers, overheads.coldStartMs);

  // Steps of another batch size count by how much longer or shorter they are.
  const restSteps = input.laterSteps.reduce(
    (sum, later) => sum + later.steps * (model(shape, later.batchSize).stepMs / predicted.stepMs - 1),
    remainingSteps,
  );
  const stepsMs = restSteps * predicted.stepMs * overheads.stretch;
  const restarts = Math.floor(stepsMs / (FUNCTION_LIMIT_MS - FUNCTION_DRAIN_MS));
  const fixedMs = rounds * overheadMs + coldMs + restarts * startMs(workers, overheads.coldStartMs);
  const perMs = nanoUsdPerMs(memoryMib, prices);
  const requestsNanoUsd = exchangeNanoUsd(workload, shape, prices);
  const rentPerMs = rentNanoUsdPerMs(workload, shape);
  const timedNanoUsd = workers * perMs * predicted.stepMs * overheads.billedStretch + rentPerMs * predicted.stepMs * overheads.stretch;
  const stepNanoUsd = timedNanoUsd + requestsNanoUsd;
  const coldNanoUsd = isCurrent ? 0 : workers * perMs * overheads.coldStartMs;
  const fixedNanoUsd =
    rentPerMs * fixedMs +
    remainingSteps * requestsNanoUsd +
    rounds * workers * overheads.turnNanoUsd +
    coldNanoUsd +
    restarts * workers * perMs * overheads.coldStartMs;

  const stepNanoUsdP95 = timedNanoUsd * Math.exp(Z95 * logSd) + requestsNanoUsd;
  const roundFixedNanoUsdP95 =
    FIXED_P95_FACTOR *
    (workers * overheads.turnNanoUsd + workers * perMs * (isCurrent ? 0 : overheads.coldStartMs) + rentPerMs * (overheadMs + coldMs));
  const remainingMs = shifted(fixedMs, stepsMs, logSd);
  const remainingNanoUsd = shifted(fixedNanoUsd, restSteps * timedNanoUsd, logSd);
  const inTime = probabilityBelow(limits.timeMs, fixedMs, stepsMs, logSd);
  const inBudget = probabilityBelow(limits.nanoUsd, fixedNanoUsd, restSteps * timedNanoUsd, logSd);
  return {
    allocation: { ...shape, steps },
    prediction: {
      stepMs: predicted.stepMs,
      remainingMs,
      remainingNanoUsd,
      roundNanoUsdP95: Math.ceil(roundFixedNanoUsdP95 + steps * stepNanoUsdP95),
      feasibility: inTime * inBudget,
    },
    objective: objectiveOf(input.goal.minimize, remainingMs.p50, remainingNanoUsd.p50),
    logSd,
    limits,
    stepNanoUsdP95,
    roundFixedNanoUsdP95,
    stepMs: predicted.stepMs,
    stepNanoUsd,
    startMs: coldMs,
    startNanoUsd: coldNanoUsd,
  };
}

/** The same plan with another round length. */
export function withSteps(plan: Plan, steps: number): Plan {
  return {
    ...plan,
    allocation: { ...plan.allocation, steps },
    prediction: { ...plan.prediction, roundNanoUsdP95: Math.ceil(plan.roundFixedNanoUsdP95 + steps * plan.stepNanoUsdP95) },
  };
}

const shifted = (fixed: number, median: number, sd: number): Quantiles => ({
  p05: fixed + median * Math.exp(-Z95 * sd),
  p50: fixed + median,
  p95: fixed + median * Math.exp(Z95 * sd),
});

/** P(fixed + log-normal <= limit). */
function probabilityBelow(limit: number | undefined, fixed: number, median: number, sd: number): number {
  if (limit === undefined) return 1;
  if (limit <= fixed) return 0;
  return median <= 0 ? 1 : normalCdf(Math.log((limit - fixed) / median) / sd);
}

/** How far the median passes the limits: 1 is exactly at the nearest one. */
export function violationOf({ prediction, limits }: Plan): number {
  const time = limits.timeMs === undefined ? 0 : limits.timeMs <= 0 ? Infinity : prediction.remainingMs.p50 / limits.timeMs;
  const cost = limits.nanoUsd === undefined ? 0 : limits.nanoUsd <= 0 ? Infinity : prediction.remainingNanoUsd.p50 / limits.nanoUsd;
  return Math.max(time, cost);
}

/** Everything that plans of this input share. */
export function planContextOf(input: DecisionInput): PlanContext {
  const { observations, earlier, prices, program } = input;
  const workload = workloadOf(input);
  return {
    input,
    workload,
    model: fitPerformance(workload, observations, { earlier, microProbe: program.microProbe }),
    overheads: fitOverheads(workload, observations, prices, program.coldStartMs),
    limits: limitsOf(input),
  };
}
