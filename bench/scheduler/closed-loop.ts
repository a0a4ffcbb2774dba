// Whole jobs: micro-probe, looks, run, plans made anew after every round; limits count everything since submission.
import type { DecisionRequest, ObservationInput, ResolvedGoal } from '../../contracts/scheduling';
import { compactObservations, decideNext, followDrifts, parseObservations } from '../../scheduler';
import { microProbeCost, observe, type Job, type Phase, type Shock } from './job';
import type { Weather } from './weather';

export interface Course {
  /** Nobody announces it; it happens once half of the steps are done. */
  readonly shock?: Shock | undefined;
  /** Faults, stragglers, drift and losses on top; the planner who knows everything has none. */
  readonly weather?: Weather;
}
export interface ClosedOutcome {
  /** Objective over that of a planner who knows the surface and the event, and may change once at it; NaN where not finished. */
  readonly ratio: number;
  /** What was used of the limit; Infinity where the job did not finish. */
  readonly use: number;
  readonly probeShare: number;
  readonly switches: number;
  readonly alarms: number;
  /** Share of the steps that were done. */
  readonly done: number;
  /** What was spent of twice the accepted p95, and of the budget where there is one. */
  readonly consentUse: number;
  readonly budgetUse: number;
  /** `use`, and where the job stopped at its limit what it would have been with the rest at the newest round's pace. */
  readonly wholeUse: number;
}

const CALM: Shock = { compute: 1, sync: 1 };
/** No run needs more rounds than this; one that does has failed. */
const MOST_ROUNDS = 3_000;

/** @returns undefined where even the planner who knows everything cannot keep the limit */
export function closedLoop(job: Job, { shock = CALM, weather }: Course = {}): ClosedOutcome | undefined {
  const half = job.phases.length > 1 ? job.phases[0]!.steps : Math.floor(job.steps / 2);
  const best = omniscient(job, half, shock);
  if (best === undefined) return undefined;
  const { minimize, wholeGoal } = { minimize: job.minimize, wholeGoal: job.request.wholeGoal! };
  const micro = microProbeCost(job);
  let nowMs = micro.wallMs;
  let spentNanoUsd = Math.ceil(micro.usd * 1e9);
  let probeNanoUsd = spentNanoUsd;
  let observations: ObservationInput[] = [];
  let stepsDone = 0;
  let phase: 'profile' | 'run' = 'profile';
  let looks = 0;
  let switches = 0;
  let alarms = 0;
  let accepted: { totalNanoUsdP95: number; finishAtMsP95: number } | undefined;
  let current: ObservationInput['allocation'] | undefined;
  let newest: ObservationInput | undefined;
  let forbidden: DecisionRequest['forbidden'] = {};
  for (let round = 0; round < MOST_ROUNDS && stepsDone < job.steps; round += 1) {
    const ahead = phasesFrom(job.phases, stepsDone);
    const { batchSize, steps: phaseSteps } = ahead[0]!;
    const decision = decideNext({
      ...job.request,
      batchSize,
      laterSteps: ahead.slice(1),
      ...(phase === 'profile' ? { goal: shareOf(wholeGoal), wholeGoal } : { goal: wholeGoal, wholeGoal: undefined }),
      phase,
      observations,
      probesLeft: 5 - looks,
      spentNanoUsd,
      nowMs,
      stepsDone,
      remainingSteps: job.steps - stepsDone,
      switches: Math.min(12, switches),
      forbidden,
      ...(accepted ? { accepted } : {}),
      ...(current ? { current } : {}),
    });
    if (phase === 'profile' && decision.kind !== 'probe') {
      phase = 'run';
      probeNanoUsd = spentNanoUsd;
      continue;
    }
    if (decision.kind !== 'run' && decision.kind !== 'probe') break;
    const { allocation, prediction } = decision;
    if (phase === 'run')
      accepted ??= { totalNanoUsdP95: spentNanoUsd + prediction.remainingNanoUsd.p95, finishAtMsP95: nowMs + prediction.remainingMs.p95 };
    const changes = current !== undefined && (current.workers !== allocation.workers || current.memoryMib !== allocation.memoryMib);
    if (changes && phase === 'run') switches += 1;
    // A round that the event falls into is cut there: rounds are short beside jobs.
    const steps = Math.min(allocation.steps, phaseSteps, stepsDone < half ? half - stepsDone : Infinity);
    const now = weather?.shockAt(stepsDone / job.steps) ?? (stepsDone < half ? CALM : shock);
    const calm = observe(job, { ...allocation, steps }, { round, cold: changes || current === undefined, shock: now, batchSize });
    const seen = stopped(weather?.disturb(calm) ?? calm, decision.spendLimitMs);
    if (seen.steps === 0 && decision.spendLimitMs !== undefined && seen.wallMs === decision.spendLimitMs)
      forbidden = { ...forbidden, tooDear: [...(forbidden.tooDear ?? []), allocation] };
    if (phase === 'profile') looks += 1;
    // Carried observations have their drifts marked already: what is found now is new.
    if (followDrifts(parseObservations([...observations, seen])).newest) alarms += 1;
    if (seen.steps > 0) observations = compactObservations([...observations, seen]);
    nowMs += seen.wallMs;
    spentNanoUsd += seen.billedNanoUsd;
    stepsDone += seen.steps;
    current = allocation;
    if (phase === 'run' && seen.steps > 0) newest = seen;
  }
  const finished = stepsDone >= job.steps;
  const rest = job.steps - stepsDone;
  const useOf = (ms: number, nanoUsd: number) => (minimize === 'cost' ? ms / wholeGoal.deadlineAtMs! : nanoUsd / wholeGoal.budgetNanoUsd!);
  const [timeMs, usd] = [nowMs, spentNanoUsd / 1e9];
  return {
    ratio: finished ? (minimize === 'cost' ? usd : timeMs) / best : NaN,
    use: finished ? useOf(nowMs, spentNanoUsd) : Infinity,
    wholeUse:
      newest === undefined
        ? Infinity
        : useOf(nowMs + rest * (newest.wallMs / newest.steps), spentNanoUsd + rest * (newest.billedNanoUsd / newest.steps)),
    probeShare: probeNanoUsd / spentNanoUsd,
    switches,
    alarms,
    done: stepsDone / job.steps,
    consentUse: accepted === undefined ? 0 : spentNanoUsd / (2 * accepted.totalNanoUsdP95),
    budgetUse: wholeGoal.budgetNanoUsd === undefined ? 0 : spentNanoUsd / wholeGoal.budgetNanoUsd,
  };
}

/** Profiling has a tenth of each limit, as in the pipeline. Source: workflows/grants.ts. */
const PROFILE_SHARE = 0.1;
const shareOf = ({ minimize, deadlineAtMs, budgetNanoUsd }: ResolvedGoal): ResolvedGoal => ({
  minimize,
  ...(deadlineAtMs !== undefined && { deadlineAtMs: PROFILE_SHARE * deadlineAtMs }),
  ...(budgetNanoUsd !== undefined && { budgetNanoUsd: PROFILE_SHARE * budgetNanoUsd }),
});

/** Workers whose money is used up end the round where the next step would not fit, or in the middle of its first. */
function stopped(seen: ObservationInput, limitMs = Infinity): ObservationInput {
  if (seen.wallMs <= limitMs) return seen;
  const steps = Math.floor((seen.steps * limitMs) / seen.wallMs);
  const share = steps > 0 ? steps / seen.steps : limitMs / seen.wallMs;
  return { ...seen, steps, wallMs: steps > 0 ? seen.wallMs * share : limitMs, billedNanoUsd: Math.ceil(seen.billedNanoUsd * share) };
}

/** The least objective with one shape before the event and one after it. */
function omniscient(job: Job, half: number, shock: Shock): number | undefined {
  const { shapes, minimize } = job;
  const limit = minimize === 'cost' ? job.request.wholeGoal!.deadlineAtMs! : job.request.wholeGoal!.budgetNanoUsd! / 1e9;
  const [first, second] = [phasesUntil(job.phases, half), phasesFrom(job.phases, half)];
  const before = shapes.map((shape) => ({ timeMs: job.timeMs(shape, first), usd: job.costUsd(shape, first) }));
  const after = shapes.map((shape) => {
    const calm = job.surface.step(shape);
    const stretch = (calm.stepMs + (shock.compute - 1) * calm.computeMs + (shock.sync - 1) * calm.syncMs) / calm.stepMs;
    return { timeMs: stretch * job.timeMs(shape, second), usd: stretch * job.costUsd(shape, second) };
  });
  let least = Infinity;
  for (const one of before)
    for (const other of after) {
      const [timeMs, usd] = [one.timeMs + other.timeMs, one.usd + other.usd];
      if ((minimize === 'cost' ? timeMs : usd) <= limit) least = Math.min(least, minimize === 'cost' ? usd : timeMs);
    }
  return Number.isFinite(least) ? least : undefined;
}

/** What is left of the phases after so many steps. */
function phasesFrom(phases: readonly Phase[], step: number): Phase[] {
  const left: Phase[] = [];
  let start = 0;
  for (const { batchSize, steps } of phases) {
    const rest = Math.min(steps, start + steps - step);
    if (rest > 0) left.push({ batchSize, steps: rest });
    start += steps;
  }
  return left;
}
function phasesUntil(phases: readonly Phase[], step: number): Phase[] {
  const done: Phase[] = [];
  let start = 0;
  for (const { batchSize, steps } of phases) {
    const count = Math.min(steps, step - start);
    if (count > 0) done.push({ batchSize, steps: count });
    start += steps;
  }
  return done;
}
