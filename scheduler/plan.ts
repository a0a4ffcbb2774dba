import { sameShape } from '../contracts/allocation';
import { objectiveOf } from '../contracts/goal';
import type { Allocation } from '../contracts/round';
import type { DecisionInput, Prediction, Quantiles, ResolvedGoal } from '../contracts/scheduling';
import { candidatesOf } from './candidates';
import {
  ACCEPT_FEASIBILITY,
  BURST_REFILL_MS,
  BURST_WORKERS,
  EARLY_ROUNDS,
  FUNCTION_DRAIN_MS,
  FUNCTION_LIMIT_MS,
  LIMIT_SHARE,
  MAX_SWITCHES,
  RUN_LIMIT_SHARE,
  START_SPREAD_MS_PER_WORKER,
  SWITCH_MIN_GAIN,
} from './constants';
import { laterPhasesOf, nothing, sum, type Amounts, type Later } from './later-phases';
import { fitPerformance, type PerformanceModel } from './model/performance';
import { exchangeNanoUsd, relatedWorkload, rentNanoUsdPerMs, workloadOf, type Shape, type Workload } from './model/workload';
import { normalCdf, Z95 } from './normal';
import { coldStartSeen, fitOverheads, nanoUsdPerMs, turnRequestsNanoUsd, type Overheads } from './overheads';
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
  /** Prices of the round: of a ms of all its workers, and beside it of a step's and of the round's requests and start. */
  readonly rates: { readonly nanoUsdPerMs: number; readonly stepNanoUsd: number; readonly roundNanoUsd: number };
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
  /** What comes after announced changes of the batch. */
  readonly later: Later;
}

/** Never believed more exactly than this. */
const LEAST_LOG_SD = 0.03;
/** A round's fixed part may be this much dearer than usual. */
const FIXED_P95_FACTOR = 1.5;

/** The goal that plans are held against. */
export const planGoalOf = ({ phase, goal, wholeGoal }: DecisionInput): ResolvedGoal =>
  phase === 'profile' ? (wholeGoal ?? { minimize: goal.minimize }) : goal;

/** Of what is left of a limit, what plans may use. */
export const limitShareOf = ({ phase }: DecisionInput): number => (phase === 'run' ? RUN_LIMIT_SHARE : LIMIT_SHARE);

export function limitsOf(input: DecisionInput): Limits {
  const { nowMs, spentNanoUsd, reservedNanoUsd } = input;
  const goal = planGoalOf(input);
  const share = limitShareOf(input);
  return {
    timeMs: goal.deadlineAtMs === undefined ? undefined : share * (goal.deadlineAtMs - nowMs),
    nanoUsd: goal.budgetNanoUsd === undefined ? undefined : share * (goal.budgetNanoUsd - spentNanoUsd - reservedNanoUsd),
  };
}

/** Start of n functions: one after the other from the same source, and slower beyond the burst. */
export const startMs = (workers: number, coldStartMs: number): number =>
  coldStartMs +
  START_SPREAD_MS_PER_WORKER * workers +
  (workers > BURST_WORKERS ? BURST_REFILL_MS * Math.ceil((workers - BURST_WORKERS) / BURST_WORKERS) : 0);

/** Prices and times all that remains, from one shape on; where batch changes are announced, with the best change there. */
export function planOf(shape: Shape, context: PlanContext): Plan {
  const { input, workload, model, overheads, limits } = context;
  const { workers, memoryMib } = shape;
  const { current, observations, prices, batchSize } = input;
  const predicted = model(shape);
  const logSd = Math.max(predicted.logSd, LEAST_LOG_SD);
  const isCurrent = current !== undefined && sameShape(current, shape);
  const seen = observations
    .filter((o) => sameShape(o.allocation, shape) && (o.batchSize ?? batchSize) === batchSize)
    .reduce((sum, o) => sum + o.merged, 0);
  const phaseSteps = input.remainingSteps - input.laterSteps.reduce((total, later) => total + later.steps, 0);
  const start = isCurrent ? nothing : startAmounts(shape, context);
  const { steps, amounts } = workAt(shape, { steps: phaseSteps, roundsSeen: seen }, context);
  const whole = wholeOf(sum(start, amounts), shape, context);

  const perMs = nanoUsdPerMs(memoryMib, prices);
  const requestsNanoUsd = exchangeNanoUsd(workload, shape, prices);
  const rentPerMs = rentNanoUsdPerMs(workload, shape);
  const timedNanoUsd = workers * perMs * predicted.stepMs * overheads.billedStretch + rentPerMs * predicted.stepMs * overheads.stretch;
  const stepNanoUsdP95 = timedNanoUsd * Math.exp(Z95 * logSd) + requestsNanoUsd;
  const roundMs = overheads.orchestrationMs + overheads.turnMs;
  const roundFixedNanoUsdP95 = FIXED_P95_FACTOR * (workers * overheads.turnNanoUsd + rentPerMs * roundMs + start.fixedNanoUsd);
  return {
    allocation: { ...shape, steps },
    prediction: {
      stepMs: predicted.stepMs,
      remainingMs: whole.remainingMs,
      remainingNanoUsd: whole.remainingNanoUsd,
      roundNanoUsdP95: Math.ceil(roundFixedNanoUsdP95 + steps * stepNanoUsdP95),
      feasibility: whole.feasibility,
    },
    objective: whole.objective,
    logSd: whole.logSd,
    limits,
    stepNanoUsdP95,
    roundFixedNanoUsdP95,
    rates: {
      nanoUsdPerMs: workers * perMs + rentPerMs,
      stepNanoUsd: requestsNanoUsd,
      roundNanoUsd: workers * turnRequestsNanoUsd(prices) + start.fixedNanoUsd,
    },
    stepMs: predicted.stepMs,
    stepNanoUsd: timedNanoUsd + requestsNanoUsd,
    startMs: start.fixedMs,
    startNanoUsd: start.fixedNanoUsd,
  };
}

/** Steps of one batch size at one shape, without its start. */
function workAt(
  shape: Shape,
  { steps: count, batchSize, roundsSeen = EARLY_ROUNDS }: { steps: number; batchSize?: number; roundsSeen?: number },
  { input, workload, model, overheads }: Omit<PlanContext, 'later'>,
): { steps: number; amounts: Amounts } {
  const { workers, memoryMib } = shape;
  const { stepMs, logSd } = model(shape, batchSize);
  const overheadMs = overheads.orchestrationMs + overheads.turnMs;
  const steps = stepsPerRound({ stepMs, overheadMs, remainingSteps: count, roundsSeen, mostSteps: input.mostRoundSteps });
  const rounds = Math.ceil(count / steps);
  const stepsMs = count * stepMs * overheads.stretch;
  const restarts = Math.floor(stepsMs / (FUNCTION_LIMIT_MS - FUNCTION_DRAIN_MS));
  const perMs = nanoUsdPerMs(memoryMib, input.prices);
  const rentPerMs = rentNanoUsdPerMs(workload, shape);
  const fixedMs = rounds * overheadMs + restarts * startMs(workers, overheads.coldStartMs);
  const amounts = {
    stepsMs,
    fixedMs,
    timedNanoUsd: count * workers * perMs * stepMs * overheads.billedStretch + rentPerMs * stepsMs,
    fixedNanoUsd:
      rentPerMs * fixedMs +
      count * exchangeNanoUsd(workload, shape, input.prices) +
      rounds * workers * overheads.turnNanoUsd +
      restarts * workers * perMs * overheads.coldStartMs,
    sdMs: stepsMs * Math.max(logSd, LEAST_LOG_SD),
  };
  return { steps, amounts };
}

function startAmounts(shape: Shape, { input, workload, overheads }: Omit<PlanContext, 'later'>): Amounts {
  const { workers, memoryMib } = shape;
  const { coldStartMs } = overheads;
  const fixedMs = startMs(workers, coldStartMs);
  const functionsNanoUsd = workers * nanoUsdPerMs(memoryMib, input.prices) * coldStartMs;
  return { ...nothing, fixedMs, fixedNanoUsd: functionsNanoUsd + rentNanoUsdPerMs(workload, shape) * fixedMs };
}

interface Whole {
  readonly remainingMs: Quantiles;
  readonly remainingNanoUsd: Quantiles;
  readonly feasibility: number;
  readonly objective: number;
  /** How far the medians pass the limits: 1 is exactly at the nearest one. */
  readonly violation: number;
  readonly logSd: number;
}
/** A phase at this shape, and the best way to go on: at the same shape unless a change pays as any change must. */
function wholeOf(phase: Amounts, shape: Shape, { input, limits, later }: PlanContext): Whole {
  const with_ = (rest: Amounts): Whole => {
    const { fixedMs, stepsMs, fixedNanoUsd, timedNanoUsd, sdMs } = sum(phase, rest);
    const logSd = stepsMs > 0 ? sdMs / stepsMs : LEAST_LOG_SD;
    const remainingMs = shifted(fixedMs, stepsMs, logSd);
    const remainingNanoUsd = shifted(fixedNanoUsd, timedNanoUsd, logSd);
    return {
      remainingMs,
      remainingNanoUsd,
      feasibility: probabilityBelow(limits.timeMs, fixedMs, stepsMs, logSd) * probabilityBelow(limits.nanoUsd, fixedNanoUsd, timedNanoUsd, logSd),
      objective: objectiveOf(input.goal.minimize, remainingMs.p50, remainingNanoUsd.p50),
      violation: useOf(limits, remainingMs.p50, remainingNanoUsd.p50),
      logSd,
    };
  };
  const staying = with_(later.stayingAt(shape));
  if (input.switches >= MAX_SWITCHES) return staying;
  const changed = later
    .waysAfter(shape)
    .map(with_)
    .reduce<Whole | undefined>((a, b) => (a === undefined || isBetter(b, a) ? b : a), undefined);
  const asGood = changed && {
    ...changed,
    objective: changed.objective / (1 - SWITCH_MIN_GAIN),
    violation: changed.violation / (1 - SWITCH_MIN_GAIN),
  };
  return changed && isBetter(asGood!, staying) ? changed : staying;
}
/** The order of recommending: what keeps the limits well enough by its objective, then the least violation. */
function isBetter(a: Whole, b: Whole): boolean {
  const [aKeeps, bKeeps] = [a.feasibility >= ACCEPT_FEASIBILITY, b.feasibility >= ACCEPT_FEASIBILITY];
  if (aKeeps !== bKeeps) return aKeeps;
  return aKeeps ? a.objective < b.objective : a.violation < b.violation;
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
export const violationOf = ({ prediction, limits }: Plan): number => useOf(limits, prediction.remainingMs.p50, prediction.remainingNanoUsd.p50);
function useOf(limits: Limits, ms: number, nanoUsd: number): number {
  const time = limits.timeMs === undefined ? 0 : limits.timeMs <= 0 ? Infinity : ms / limits.timeMs;
  const cost = limits.nanoUsd === undefined ? 0 : limits.nanoUsd <= 0 ? Infinity : nanoUsd / limits.nanoUsd;
  return Math.max(time, cost);
}

/** Everything that plans of this input share. */
export function planContextOf(input: DecisionInput): PlanContext {
  const { observations, earlier, related, prices, program } = input;
  const workload = workloadOf(input);
  const shared = {
    input,
    workload,
    model: fitPerformance(workload, observations, {
      earlier,
      related: related.map((relative) => ({ ...relatedWorkload(workload, program, relative), observations: relative.observations })),
      microProbe: program.microProbe,
    }),
    overheads: fitOverheads(workload, observations, prices, program.coldStartMs ?? coldStartSeen(input)),
    limits: limitsOf(input),
  };
  const later = laterPhasesOf(
    input,
    input.laterSteps.length > 0 ? candidatesOf(input) : [],
    (shape, phase) => workAt(shape, phase, shared).amounts,
    (shape) => startAmounts(shape, shared),
  );
  return { ...shared, later };
}
