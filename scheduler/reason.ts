import { sameShape } from '../contracts/allocation';
import type { Minimize } from '../contracts/goal';
import { limitWords } from '../contracts/money';
import type { DecisionInput, NearestGoals } from '../contracts/scheduling';
import { ACCEPT_FEASIBILITY, TIE } from './constants';
import { best } from './choose';
import type { Drift } from './drift';
import { planGoalOf, violationOf, type Plan } from './plan';
import { formatCount, formatDuration, formatShape, formatShare, formatUsd } from './words';

const same = (a: Plan, b: Plan) => sameShape(a.allocation, b.allocation);

/** "2 workers of 1,769 MiB, 80 steps a round: 5.6 s and $0.0003 to go; 4 workers of 1,769 MiB would save 1.0 s but ..." */
export function explainRun(chosen: Plan, plans: readonly Plan[], all: readonly Plan[], input: DecisionInput, drift?: Drift): string {
  const { prediction, allocation } = chosen;
  const what =
    `${formatShape(allocation)}, ${formatCount(allocation.steps, 'step')} a round: about ${formatDuration(prediction.stepMs)} a step, ` +
    `${formatDuration(prediction.remainingMs.p50)} (p95 ${formatDuration(prediction.remainingMs.p95)}) and ` +
    `${formatUsd(prediction.remainingNanoUsd.p50)} (p95 ${formatUsd(prediction.remainingNanoUsd.p95)}) to go`;
  return `${what}${chance(prediction.feasibility, input)}; ${against(chosen, plans, all, input)}${moved(drift)}.`;
}

export function explainProbe(probe: Plan, target: Plan, gain: number | undefined, basis = 'the model'): string {
  const what = `Trying ${formatShape(probe.allocation)} for ${formatCount(probe.allocation.steps, 'step')} that count`;
  if (gain === undefined) return `${what}: by ${basis} it should do best, at about ${formatDuration(probe.stepMs)} a step.`;
  if (same(probe, target)) return `${what}: by what was seen so far it should do best, and nobody has tried it yet.`;
  return `${what}: it may beat ${formatShape(target.allocation)}, with an expected gain of ${(gain * 100).toFixed(0)} %.`;
}

export function explainRescueLook({ allocation, prediction }: Plan, settled: Plan): string {
  const chances = `${formatShare(prediction.feasibility)}, against ${formatShare(settled.prediction.feasibility)} with ${formatShape(settled.allocation)}`;
  return `Trying ${formatShape(allocation)} for ${formatCount(allocation.steps, 'step')} that count: it may keep the limits after all (${chances}).`;
}

/** Why no allocation can meet the goal, and what would. */
export function bindingTerm(plans: readonly Plan[], input: DecisionInput, nearest: NearestGoals): string {
  const { nowMs, spentNanoUsd } = input;
  const goal = planGoalOf(input);
  const closest = plans.reduce((a, b) => (violationOf(b) < violationOf(a) ? b : a));
  const { remainingMs, remainingNanoUsd } = closest.prediction;
  const limits = [
    ...(goal.deadlineAtMs === undefined
      ? []
      : [`${formatDuration(Math.max(0, goal.deadlineAtMs - nowMs))} to ${limitWords('deadline', goal.stage)}`]),
    ...(goal.budgetNanoUsd === undefined
      ? []
      : [`${formatUsd(Math.max(0, goal.budgetNanoUsd - spentNanoUsd))} of ${limitWords('budget', goal.stage)}`]),
  ];
  const ways = [
    ...(nearest.deadlineAtMs === undefined ? [] : [`a deadline in ${formatDuration(nearest.deadlineAtMs - nowMs)}`]),
    ...(nearest.budgetNanoUsd === undefined ? [] : [`a budget of ${formatUsd(nearest.budgetNanoUsd)}`]),
  ];
  return (
    `The goal is out of reach: with ${limits.join(' and ')} left, the nearest plan, ${formatShape(closest.allocation)}, needs ` +
    `${formatDuration(remainingMs.p50)} (${formatDuration(remainingMs.p05)} to ${formatDuration(remainingMs.p95)}) and ${formatUsd(remainingNanoUsd.p50)}` +
    `${ways.length > 0 ? `; ${ways.join(' or ')} would do` : ''}.`
  );
}

function chance(feasibility: number, { goal }: DecisionInput): string {
  if (goal.budgetNanoUsd === undefined && goal.deadlineAtMs === undefined) return '';
  const { stage } = goal;
  const both = goal.budgetNanoUsd !== undefined && goal.deadlineAtMs !== undefined;
  const limit = both ? 'budget and deadline' : goal.budgetNanoUsd === undefined ? 'deadline' : 'budget';
  const whose = stage !== undefined ? `${stage}’s ` : both ? '' : 'the ';
  return `, ${formatShare(feasibility)} sure to keep ${whose}${limit}`;
}

/** The alternative that a person would ask about: the one that the goal's limit rules out, else the next best. */
function against(chosen: Plan, plans: readonly Plan[], all: readonly Plan[], { goal }: DecisionInput): string {
  const others = all.filter((plan) => !same(plan, chosen));
  if (others.length === 0) return 'it is the only allocation within the bounds';
  const { minimize } = goal;
  const tempting = best(
    others.filter((plan) => plan.objective < chosen.objective * 0.98),
    minimize,
  );
  const gainOf = (plan: Plan) => (minimize === 'time' ? formatDuration : formatUsd)(Math.abs(chosen.objective - plan.objective)) + worth(minimize);
  if (tempting && tempting.prediction.feasibility < ACCEPT_FEASIBILITY) {
    return `${formatShape(tempting.allocation)} would save ${gainOf(tempting)} but would keep the limits with a chance of only ${formatShare(tempting.prediction.feasibility)}`;
  }
  if (tempting) return `${formatShape(tempting.allocation)} might save ${gainOf(tempting)}, too little to switch for`;
  const next =
    best(
      plans.filter((plan) => !same(plan, chosen)),
      minimize,
    ) ?? best(others, minimize)!;
  if (next.objective <= chosen.objective) return `${formatShape(next.allocation)} would be no better`;
  if (next.objective < chosen.objective * (1 + TIE)) return `${formatShape(next.allocation)} would do as well`;
  const more = gainOf(next);
  return `${formatShape(next.allocation)} would ${minimize === 'time' ? `take ${more} longer` : `cost ${more} more`}`;
}

/** A sum of money and time says what it takes an hour for. */
const worth = (minimize: Minimize): string => (typeof minimize === 'string' ? '' : ` (an hour counted as ${formatUsd(minimize.usdPerHour * 1e9)})`);

function moved(drift: Drift | undefined): string {
  if (drift === undefined) return '';
  const what = Math.abs(Math.log(drift.computeRatio)) > Math.abs(Math.log(drift.syncRatio)) ? 'computing' : 'the exchange';
  return ` (since round ${drift.sinceRound} a step takes ${drift.stepRatio.toFixed(1)} times as long as before: ${what} changed)`;
}
