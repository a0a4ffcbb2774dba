import { sameShape, shapeKey } from '../contracts/allocation';
import { objectiveOf } from '../contracts/goal';
import { parseWith } from '../contracts/job';
import { limitWords } from '../contracts/money';
import { DecisionInput, type Decision, type DecisionRequest, type NearestGoals } from '../contracts/scheduling';
import { candidatesOf, leastMemoryMib } from './candidates';
import { incumbentOf, nearestGoals, probeGain, recommend, withinConsent, worthSwitching } from './choose';
import {
  PROBE_MAX_BLIND_STEPS,
  PROBE_MAX_MS,
  PROBE_MAX_STEPS,
  PROBE_MIN_GAIN,
  PROBE_MIN_STEPS,
  PROBE_SPEND_SHARE,
  REFUSE_FEASIBILITY,
  SHORTEST_ROUND_MS,
} from './constants';
import { followDrifts } from './drift';
import { nameExchanges } from './exchanges';
import { explainHedge, hedgeOf, withCopy } from './hedge';
import { planContextOf, planOf, withSteps, type Plan } from './plan';
import { bindingTerm, explainProbe, explainRun } from './reason';
import { fitSpend, spendLimitMs } from './spending';
import { formatCount, formatDuration, formatMib, formatShape } from './words';

/** Refusing is for the beginning: later the work done is worth more than the promise broken. */
const REFUSE_UNTIL_SHARE = 0.1;
const REFUSE_UNTIL_ROUNDS = 2;

/**
 * What to do next. Pure: the same input gives the same decision.
 * Invariants: (1) an allocation respects every bound, lane and core; (2) the p95 of the next round's cost fits what is
 * left of the budget, and workers that keep its `spendLimitMs` cost no more than that; (3) a round never passes the last step.
 * @throws {SmltError} `InvalidSpec` when an observation or a bound is not valid
 */
export function decideNext(request: DecisionRequest): Decision {
  const told = nameExchanges(parseWith(DecisionInput, request, 'the scheduler’s input'));
  const { observations, newest: drift } = followDrifts(told.observations);
  const input = { ...told, observations };
  const { goal, nowMs, remainingSteps, phase } = input;
  if (remainingSteps === 0) return { kind: 'finish', reason: 'Every step is done.' };
  const candidates = candidatesOf(input);
  if (candidates.length === 0) return { kind: 'infeasibleGoal', reason: whyNoCandidate(input), nearest: {} };
  const context = planContextOf(input);
  const all = candidates.map((shape) => planOf(shape, context));
  const nearest = nearestGoals(all, input);

  if (goal.deadlineAtMs !== undefined && nowMs >= goal.deadlineAtMs) {
    return {
      kind: 'deadlineReached',
      reason: `${formatDuration(nowMs - goal.deadlineAtMs)} have passed since ${limitWords('deadline', goal.stage)}, with ${formatCount(remainingSteps, 'step')} left.`,
      nearest,
    };
  }
  const consented = withinConsent(all, input);
  const plans =
    consented.length > 0 ? consented : [all.reduce((a, b) => (b.prediction.remainingNanoUsd.p50 < a.prediction.remainingNanoUsd.p50 ? b : a))];
  const refusal = refuse(plans, input, nearest);
  if (refusal) return refusal;

  const target = recommend(plans, goal.minimize)!;
  if (phase === 'profile') {
    const probe = nextProbe(plans, target, input);
    if (probe.kind === 'finish') return { kind: 'finish', allocation: target.allocation, prediction: target.prediction, reason: probe.reason };
    const affordable = fitSpend(probe.plan, plans, input, nearest);
    if ('kind' in affordable) return affordable;
    return { kind: 'probe', ...roundOf(affordable, input), reason: probe.reason };
  }
  const current = plans.find((plan) => input.current && sameShape(plan.allocation, input.current));
  const chosen = current && !worthSwitching(current, target, input.switches, isNewPhase(input)) ? current : target;
  const affordable = fitSpend(withDeadline(chosen, input), plans, input, nearest);
  if ('kind' in affordable) return affordable;
  const hedge = hedgeOf(affordable, context);
  const reason = explainRun(affordable, plans, all, input, drift);
  if (!hedge) return { kind: 'run', ...roundOf(affordable, input), reason };
  return {
    kind: 'run',
    ...roundOf(withCopy(affordable), input),
    hedgeAfterMs: hedge.afterMs,
    reason: `${reason.slice(0, -1)}; ${explainHedge(hedge)}.`,
  };
}

function roundOf(plan: Plan, input: DecisionInput) {
  const limitMs = spendLimitMs(plan, input);
  return { allocation: plan.allocation, prediction: plan.prediction, ...(limitMs !== undefined && { spendLimitMs: limitMs }) };
}

/** A goal out of reach is said once something has been seen, before much is spent. */
function refuse(plans: readonly Plan[], input: DecisionInput, nearest: NearestGoals): Decision | undefined {
  const { observations, accepted, stepsDone, remainingSteps, phase, openEnded } = input;
  const rounds = observations.reduce((sum, observation) => sum + observation.merged, 0);
  const early = phase === 'profile' || rounds <= REFUSE_UNTIL_ROUNDS || stepsDone <= REFUSE_UNTIL_SHARE * (stepsDone + remainingSteps);
  if (accepted !== undefined || observations.length === 0 || !early || openEnded) return undefined;
  const likeliest = Math.max(...plans.map((plan) => plan.prediction.feasibility));
  if (likeliest >= REFUSE_FEASIBILITY) return undefined;
  return { kind: 'infeasibleGoal', reason: bindingTerm(plans, input, nearest), nearest };
}

/** Which allocation teaches most for its price, unless nothing teaches enough. */
function nextProbe(
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

/** An announced change of the batch, from which nothing was seen yet: earlier plans have counted on a change here. */
const isNewPhase = ({ observations, batchSize }: DecisionInput): boolean =>
  observations.length > 0 && observations.every((each) => each.batchSize !== undefined && each.batchSize !== batchSize);

/** A probe is short, yet at least a second where steps are: the first steps of an instance are compiled as they run. */
function asProbe(plan: Plan, mostSteps: number, isBlind = false): Plan {
  const few = Math.max(PROBE_MIN_STEPS, Math.min(PROBE_MAX_STEPS, Math.floor(PROBE_MAX_MS / plan.stepMs)));
  const steps = Math.max(few, Math.ceil(SHORTEST_ROUND_MS / plan.stepMs));
  return withSteps(plan, Math.min(mostSteps, isBlind ? PROBE_MAX_BLIND_STEPS : Infinity, steps));
}

/** A round does not plan beyond the deadline, so that its checkpoint still counts. */
function withDeadline(plan: Plan, { goal, nowMs }: DecisionInput): Plan {
  if (goal.deadlineAtMs === undefined) return plan;
  const most = Math.max(1, Math.floor((goal.deadlineAtMs - nowMs) / plan.stepMs));
  return most < plan.allocation.steps ? withSteps(plan, most) : plan;
}

function whyNoCandidate(input: DecisionInput): string {
  const { bounds, forbidden } = input;
  const needed = leastMemoryMib(input);
  const largest = bounds.memoryMib ?? bounds.maxMemoryMib;
  if (needed > largest) {
    return `A function needs ${formatMib(Math.ceil(needed))}, and ${bounds.memoryMib ? 'the job fixes' : 'the platform allows'} ${formatMib(largest)}: raise the memory, or use a smaller batch or model.`;
  }
  const slow = forbidden.tooSlow?.at(-1);
  if (slow) {
    return `No allocation is left: ${formatShape(slow)} did not finish one step within a function's time limit. Allow more workers or memory, or use a smaller batch or model.`;
  }
  return `No allocation is left: at most ${Math.min(bounds.maxWorkers, bounds.concurrency)} workers${forbidden.workersAbove === undefined ? '' : ` (only ${forbidden.workersAbove} got a slot)`} of ${formatMib(bounds.minMemoryMib)} to ${formatMib(largest)}.`;
}
