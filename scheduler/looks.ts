// Short rounds that are run to learn from: those of the profile stage, and one where a limit is about to be missed.
import { shapeKey } from '../contracts/allocation';
import { objectiveOf } from '../contracts/goal';
import type { DecisionInput } from '../contracts/scheduling';
import { incumbentOf, probeGain } from './choose';
import {
  MAX_SWITCHES,
  PROBE_MAX_BLIND_STEPS,
  PROBE_MAX_MS,
  PROBE_MAX_STEPS,
  PROBE_MIN_GAIN,
  PROBE_MIN_STEPS,
  PROBE_SPEND_SHARE,
  RESCUE_LOOK_CHANCE,
  RESCUE_LOOK_LEAST_CHANCE,
  RESCUE_LOOK_RISK,
  RESCUE_LOOK_SHARE,
  SHORTEST_ROUND_MS,
} from './constants';
import { withSteps, type Plan } from './plan';
import { explainProbe } from './reason';
import { formatShape } from './words';

/** Which allocation teaches most for its price, unless nothing teaches enough. */
export function nextProbe(
  plans: readonly Plan[],
  target: Plan,
  input: DecisionInput,
): { kind: 'probe'; plan: Plan; reason: string } | { kind: 'finish'; reason: string } {
  const { observations, probesLeft, goal, nowMs, spentNanoUsd } = input;
  const mostSteps = Math.min(input.remainingSteps, input.mostRoundSteps ?? Infinity);
  const probes = observations.reduce((sum, observation) => sum + observation.merged, 0);
  const finish = (why: string) => ({ kind: 'finish' as const, reason: `${formatShape(target.allocation)} it will be: ${why}.` });
  if (probesLeft === 0) return finish(`${probes} short rounds have shown enough`);
  if (probes === 0) {
    const plan = asProbe(target, mostSteps, isBlind(input));
    const { microProbeNote } = input.program;
    const reason = explainProbe(plan, target, undefined, basisOf(input));
    return { kind: 'probe', plan, reason: microProbeNote === undefined ? reason : `${reason} ${microProbeNote}` };
  }
  const spentMs = observations.reduce((sum, observation) => sum + observation.wallMs * observation.merged, 0);
  const { wholeGoal } = input;
  const restMs = goal.deadlineAtMs === undefined ? Infinity : goal.deadlineAtMs - nowMs;
  const restNanoUsd = goal.budgetNanoUsd === undefined ? Infinity : goal.budgetNanoUsd - spentNanoUsd;
  const mayMs = Math.min(
    restMs,
    wholeGoal?.deadlineAtMs === undefined ? Infinity : PROBE_SPEND_SHARE * (wholeGoal.deadlineAtMs - nowMs + spentMs) - spentMs,
  );
  const mayNanoUsd = Math.min(
    restNanoUsd,
    wholeGoal?.budgetNanoUsd === undefined ? Infinity : PROBE_SPEND_SHARE * wholeGoal.budgetNanoUsd - spentNanoUsd,
  );
  const incumbent = incumbentOf(plans, goal.minimize) ?? target;
  const seen = new Set(observations.map(({ allocation }) => shapeKey(allocation)));
  const scored = plans
    .filter(({ allocation }) => !seen.has(shapeKey(allocation)))
    .map((plan) => {
      const probe = asProbe(plan, mostSteps);
      const { steps } = probe.allocation;
      const costMs = probe.stepMs * steps;
      const nanoUsd = probe.prediction.roundNanoUsdP95;
      const gain = probeGain(plan, target);
      // Its steps count, so a probe costs only its start and what its steps take more than the incumbent's.
      const extra = objectiveOf(
        goal.minimize,
        plan.startMs + steps * Math.max(0, plan.stepMs - incumbent.stepMs),
        plan.startNanoUsd + steps * Math.max(0, plan.stepNanoUsd - incumbent.stepNanoUsd),
      );
      const score = gain / Math.sqrt(objectiveOf(goal.minimize, costMs, nanoUsd));
      return { probe, gain, pays: gain * incumbent.objective > extra, score, costMs, nanoUsd };
    })
    .filter(({ costMs, nanoUsd }) => costMs <= mayMs && nanoUsd <= mayNanoUsd);
  if (scored.length === 0) return finish('one more look would take more than probes may');
  const next = scored
    .filter(({ pays }) => pays)
    .reduce<(typeof scored)[number] | undefined>((a, b) => (a === undefined || b.score > a.score ? b : a), undefined);
  if (next === undefined) return finish('another look would cost more than it may gain');
  if (next.gain < PROBE_MIN_GAIN) return finish(`another look would gain less than ${PROBE_MIN_GAIN * 100} %`);
  return { kind: 'probe', plan: next.probe, reason: explainProbe(next.probe, target, next.gain) };
}

/** What a first choice rests on. */
const basisOf = ({ earlier, related, program }: DecisionInput): string => {
  if (earlier.length > 0) return 'what an earlier run of this program saw';
  const { microProbe, gradientMsPerSample } = program;
  const measured = microProbe ? 'what gradients took on single functions' : 'the time that one gradient took';
  const own = microProbe || gradientMsPerSample !== undefined ? measured : 'the size of the model and the batch';
  return related.length > 0 ? `${own} and what runs of other programs saw here` : own;
};

/** Before anything was measured: counted operations may be wrong by orders of magnitude. */
const isBlind = ({ observations, earlier, related, program }: DecisionInput): boolean =>
  observations.length + earlier.length + related.length + (program.microProbe?.length ?? 0) === 0 && program.gradientMsPerSample === undefined;

/** A probe is short, yet at least a second where steps are: the first steps of an instance are compiled as they run. */
function asProbe(plan: Plan, mostSteps: number, isBlind = false): Plan {
  const few = Math.max(PROBE_MIN_STEPS, Math.min(PROBE_MAX_STEPS, Math.floor(PROBE_MAX_MS / plan.stepMs)));
  const steps = Math.max(few, Math.ceil(SHORTEST_ROUND_MS / plan.stepMs));
  return withSteps(plan, Math.min(mostSteps, isBlind ? PROBE_MAX_BLIND_STEPS : Infinity, steps));
}

/**
 * Where a limit is likely to be missed: a few steps at the allocation that is likeliest to keep it after all, of those that
 * nobody has seen as the world is today. It may look dearer or slower than the one under way; that is only a prediction.
 */
export function rescueLook(settled: Plan, plans: readonly Plan[], input: DecisionInput): Plan | undefined {
  const { feasibility, remainingNanoUsd } = settled.prediction;
  // There and back are two changes.
  if (feasibility >= RESCUE_LOOK_RISK || input.switches > MAX_SWITCHES - 2) return undefined;
  const seen = new Set(input.observations.flatMap(({ allocation, movedSince }) => (movedSince ? [] : [shapeKey(allocation)])));
  const { timeMs = Infinity, nanoUsd = Infinity } = settled.limits;
  const mostSteps = Math.min(input.remainingSteps, input.mostRoundSteps ?? Infinity);
  return plans
    .filter((plan) => plan !== settled && !seen.has(shapeKey(plan.allocation)))
    .filter((plan) => plan.prediction.feasibility > Math.max(RESCUE_LOOK_LEAST_CHANCE, RESCUE_LOOK_CHANCE * feasibility))
    .map((plan) => asProbe(plan, mostSteps))
    .filter((look) => {
      const { steps } = look.allocation;
      const extraMs = look.startMs + settled.startMs + steps * Math.max(0, look.stepMs - settled.stepMs);
      const extraNanoUsd = look.startNanoUsd + steps * Math.max(0, look.stepNanoUsd - settled.stepNanoUsd);
      return extraMs < RESCUE_LOOK_SHARE * timeMs && extraNanoUsd < RESCUE_LOOK_SHARE * Math.min(nanoUsd, remainingNanoUsd.p50);
    })
    .reduce<Plan | undefined>((a, b) => (a === undefined || b.prediction.feasibility > a.prediction.feasibility ? b : a), undefined);
}
