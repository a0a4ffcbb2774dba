import { sameShape } from '../contracts/allocation';
import { parseWith } from '../contracts/job';
import { limitWords } from '../contracts/money';
import { DecisionInput, type Decision, type DecisionRequest, type NearestGoals } from '../contracts/scheduling';
import { candidatesOf, leastMemoryMib } from './candidates';
import { nearestGoals, recommend, withinConsent, worthSwitching } from './choose';
import { HURRY_SLACK, REFUSE_FEASIBILITY } from './constants';
import { followDrifts } from './drift';
import { nameExchanges } from './exchanges';
import { explainHedge, hedgeOf, withCopy } from './hedge';
import { nextProbe, rescueLook } from './looks';
import { planContextOf, planOf, withSteps, type Plan } from './plan';
import { bindingTerm, explainRescueLook, explainRun } from './reason';
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

  const target = recommend(plans, goal.minimize, input.accepted && HURRY_SLACK)!;
  if (phase === 'profile') {
    const probe = nextProbe(plans, target, input);
    if (probe.kind === 'finish') return { kind: 'finish', allocation: target.allocation, prediction: target.prediction, reason: probe.reason };
    const affordable = fitSpend(probe.plan, plans, input, nearest);
    if ('kind' in affordable) return affordable;
    return { kind: 'probe', ...roundOf(affordable, input), reason: probe.reason };
  }
  const current = plans.find((plan) => input.current && sameShape(plan.allocation, input.current));
  const settled = current && !worthSwitching(current, target, input, isNewPhase(input)) ? current : target;
  const look = rescueLook(settled, plans, input);
  const affordable = fitSpend(withDeadline(look ?? settled, input), plans, input, nearest);
  if ('kind' in affordable) return affordable;
  const isLook = look !== undefined && sameShape(look.allocation, affordable.allocation);
  const reason = isLook ? explainRescueLook(affordable, settled) : explainRun(affordable, plans, all, input, drift);
  const hedge = hedgeOf(affordable, context);
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

/** An announced change of the batch, from which nothing was seen yet: earlier plans have counted on a change here. */
const isNewPhase = ({ observations, batchSize }: DecisionInput): boolean =>
  observations.length > 0 && observations.every((each) => each.batchSize !== undefined && each.batchSize !== batchSize);

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
