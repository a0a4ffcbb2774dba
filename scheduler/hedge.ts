// Second copies of stragglers: after how long a wait one pays.
import { objectiveOf } from '../contracts/goal';
import type { Observation } from '../contracts/scheduling';
import { ACCEPT_FEASIBILITY, MIB_PER_VCPU } from './constants';
import type { Plan, PlanContext } from './plan';
import { formatDuration, formatUsd } from './words';

export interface Hedge {
  /** Others have waited so long for a worker: it gets a second copy. */
  readonly afterMs: number;
  /** Expected, a round. */
  readonly savedMs: number;
  /** What a round is expected to cost more; negative where others' waiting costs more than the copies. */
  readonly extraNanoUsd: number;
}

/** Looks of waiting workers are a second apart. */
const LEAST_AFTER_MS = 1_000;
/** From here on a worker counts as hung, and gets a copy whatever it costs (activities/round-plan.ts). */
const MOST_AFTER_MS = 20_000;
/** Rounds that must have shown how long their longest step was. */
const LEAST_ROUNDS = 3;
/** Share of a round's time below which nothing is gained. */
const LEAST_GAIN = 0.01;

/**
 * When a worker that others wait for should get a second copy, if ever: the wait after which the objective gains most by
 * what the longest steps of earlier rounds would have been with one. All who wait are billed, and so are both copies, to
 * the round's end.
 */
export function hedgeOf(plan: Plan, { input, overheads, limits }: Omit<PlanContext, 'later' | 'model' | 'workload'>): Hedge | undefined {
  const { allocation, stepMs, rates, prediction } = plan;
  const { workers, steps } = allocation;
  const { bounds, goal, observations } = input;
  const coresUsed = (workers + 1) * Math.min(1, allocation.memoryMib / MIB_PER_VCPU);
  if (workers === 1 || workers + 1 > bounds.concurrency || coresUsed > bounds.totalCores) return undefined;
  const seen = observations.filter(isTelling);
  if (seen.length < LEAST_ROUNDS) return undefined;
  // Stalls come with worker-steps; a round tells its longest one only, so others are left out: fewer are expected than there are.
  const perRound = (workers * steps) / seen.reduce((sum, each) => sum + each.allocation.workers * each.steps, 0);
  const stallsMs = seen.map(({ longestStepMs, stepMs: usualMs }) => Math.max(0, longestStepMs / usualMs - 1) * stepMs);
  // It starts, reads where the round is, and does the step again.
  const copyMs = overheads.coldStartMs + overheads.turnMs + stepMs;
  const copyNanoUsd =
    (rates.nanoUsdPerMs / workers) * (overheads.coldStartMs + (steps * stepMs * overheads.billedStretch) / 2) + overheads.turnNanoUsd;
  const at = (afterMs: number): Hedge => {
    const savedMs = perRound * stallsMs.reduce((sum, stallMs) => sum + Math.max(0, stallMs - afterMs - copyMs), 0);
    const copies = perRound * stallsMs.filter((stallMs) => stallMs > afterMs).length;
    return { afterMs, savedMs, extraNanoUsd: copies * copyNanoUsd - savedMs * rates.nanoUsdPerMs };
  };
  // Workers are never all as fast, and cold starts at a round's beginning are no stragglers.
  const leastMs = Math.max(LEAST_AFTER_MS, stepMs / 2, overheads.coldStartMs);
  const waits = [1, 1.5, 2, 3, 5, 8].map((factor) => Math.ceil(factor * leastMs)).filter((afterMs) => afterMs <= MOST_AFTER_MS);
  const isLate =
    limits.timeMs !== undefined && prediction.feasibility < ACCEPT_FEASIBILITY && prediction.remainingMs.p50 > ON_THE_EDGE * limits.timeMs;
  const minimize = isLate ? 'time' : goal.minimize;
  const gainOf = ({ savedMs, extraNanoUsd }: Hedge) => objectiveOf(minimize, savedMs, -extraNanoUsd);
  const best = waits.map(at).reduce<Hedge | undefined>((a, b) => (a === undefined || gainOf(b) > gainOf(a) ? b : a), undefined);
  if (best === undefined || gainOf(best) <= 0 || best.savedMs < LEAST_GAIN * steps * stepMs) return undefined;
  const rounds = Math.ceil(input.remainingSteps / steps);
  const isDear =
    limits.nanoUsd !== undefined && best.extraNanoUsd > 0 && prediction.remainingNanoUsd.p95 + rounds * best.extraNanoUsd > limits.nanoUsd;
  return isDear ? undefined : best;
}
/** A deadline is at risk where the median takes this share of what is left. */
const ON_THE_EDGE = 0.9;

const isTelling = (observation: Observation): observation is Observation & { longestStepMs: number } =>
  observation.longestStepMs !== undefined && observation.steps > 0 && observation.stepMs > 0 && observation.movedSince === undefined;

/** "a worker that others wait for gets a second copy after 3.0 s, which saves about 1.2 s a round and $0.0004". */
export function explainHedge({ afterMs, savedMs, extraNanoUsd }: Hedge): string {
  const cost = formatUsd(Math.abs(extraNanoUsd));
  return `a worker that others wait for gets a second copy after ${formatDuration(afterMs)}, which saves about ${formatDuration(savedMs)} a round ${extraNanoUsd > 0 ? `for ${cost}` : `and ${cost}`}`;
}

/** The round with a copy's bill in what its workers may spend. */
export function withCopy(plan: Plan): Plan {
  const { workers } = plan.allocation;
  return { ...plan, rates: { ...plan.rates, nanoUsdPerMs: (plan.rates.nanoUsdPerMs * (workers + 1)) / workers } };
}
