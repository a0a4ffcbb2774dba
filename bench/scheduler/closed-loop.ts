// Whole jobs: micro-probe, looks, run, plans made anew after every round; limits count everything since submission.
import type { ObservationInput } from '../../contracts/scheduling';
import { compactObservations, decideNext, followDrifts, parseObservations } from '../../scheduler';
import { microProbeCost, observe, type Job, type Shock } from './job';

export interface Event {
  /** Nobody announces it; it happens once half of the steps are done. */
  readonly shock: Shock;
}
export interface ClosedOutcome {
  /** Objective over that of a planner who knows the surface and the event, and may change once at it; NaN where not finished. */
  readonly ratio: number;
  /** What was used of the limit; Infinity where the job did not finish. */
  readonly use: number;
  readonly probeShare: number;
  readonly switches: number;
  readonly alarms: number;
  /** Whether more than twice the accepted p95 was spent. */
  readonly overspent: boolean;
}

const CALM: Shock = { compute: 1, sync: 1 };
/** No run needs more rounds than this; one that does has failed. */
const MOST_ROUNDS = 3_000;

/** @returns undefined where even the planner who knows everything cannot keep the limit */
export function closedLoop(job: Job, event?: Event): ClosedOutcome | undefined {
  const shock = event?.shock ?? CALM;
  const half = Math.floor(job.steps / 2);
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
  for (let round = 0; round < MOST_ROUNDS && stepsDone < job.steps; round += 1) {
    const decision = decideNext({
      ...job.request,
      ...(phase === 'profile' ? { goal: { minimize }, wholeGoal } : { goal: wholeGoal, wholeGoal: undefined }),
      phase,
      observations,
      probesLeft: 5 - looks,
      spentNanoUsd,
      nowMs,
      stepsDone,
      remainingSteps: job.steps - stepsDone,
      switches: Math.min(12, switches),
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
    const steps = stepsDone < half ? Math.min(allocation.steps, half - stepsDone) : allocation.steps;
    const seen = observe(job, { ...allocation, steps }, { round, cold: changes || current === undefined, shock: stepsDone < half ? CALM : shock });
    if (phase === 'profile') looks += 1;
    // Carried observations have their drifts marked already: what is found now is new.
    if (followDrifts(parseObservations([...observations, seen])).newest) alarms += 1;
    observations = compactObservations([...observations, seen]);
    nowMs += seen.wallMs;
    spentNanoUsd += seen.billedNanoUsd;
    stepsDone += seen.steps;
    current = allocation;
  }
  const finished = stepsDone >= job.steps;
  const [timeMs, usd] = [nowMs, spentNanoUsd / 1e9];
  return {
    ratio: finished ? (minimize === 'cost' ? usd : timeMs) / best : NaN,
    use: finished ? (minimize === 'cost' ? timeMs / wholeGoal.deadlineAtMs! : spentNanoUsd / wholeGoal.budgetNanoUsd!) : Infinity,
    probeShare: probeNanoUsd / spentNanoUsd,
    switches,
    alarms,
    overspent: accepted !== undefined && spentNanoUsd > 2 * accepted.totalNanoUsdP95,
  };
}

/** The least objective with one shape before the event and one after it. */
function omniscient(job: Job, half: number, shock: Shock): number | undefined {
  const { shapes, minimize, steps } = job;
  const limit = minimize === 'cost' ? job.request.wholeGoal!.deadlineAtMs! : job.request.wholeGoal!.budgetNanoUsd! / 1e9;
  const before = shapes.map((shape) => ({ timeMs: job.timeMs(shape, half), usd: job.costUsd(shape, half) }));
  const after = shapes.map((shape) => {
    const calm = job.surface.step(shape);
    const stretch = (calm.stepMs + (shock.compute - 1) * calm.computeMs + (shock.sync - 1) * calm.syncMs) / calm.stepMs;
    return { timeMs: stretch * job.timeMs(shape, steps - half), usd: stretch * job.costUsd(shape, steps - half) };
  });
  let least = Infinity;
  for (const first of before)
    for (const second of after) {
      const [timeMs, usd] = [first.timeMs + second.timeMs, first.usd + second.usd];
      if ((minimize === 'cost' ? timeMs : usd) <= limit) least = Math.min(least, minimize === 'cost' ? usd : timeMs);
    }
  return Number.isFinite(least) ? least : undefined;
}
