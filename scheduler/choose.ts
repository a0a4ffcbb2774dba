import type { Minimize } from '../contracts/goal';
import type { DecisionInput, NearestGoals } from '../contracts/scheduling';
import {
  ACCEPT_FEASIBILITY,
  ACCEPT_Z,
  INCUMBENT_FEASIBILITY,
  LEAST_VIOLATION_SLACK,
  MAX_GAIN_SWITCHES,
  MAX_SWITCHES,
  RESCUE_FACTOR,
  STAY_FEASIBILITY,
  SWITCH_FEASIBILITY,
  SWITCH_FEASIBILITY_GAIN,
  SWITCH_GAIN_RISE,
  SWITCH_GAIN_SDS,
  SWITCH_MIN_GAIN,
  SWITCH_MIN_GAIN_OF_ALL,
  TIE,
} from './constants';
import { gainOfLook } from './gain';
import { Z80, Z95 } from './normal';
import { limitShareOf, planGoalOf, violationOf, type Plan } from './plan';

const other = (plan: Plan, minimize: Minimize) => (minimize === 'time' ? plan.prediction.remainingNanoUsd.p50 : plan.prediction.remainingMs.p50);

/** The best objective; among those nearly as good, the best of what was not asked for; then the smallest. */
export function best(plans: readonly Plan[], minimize: Minimize): Plan | undefined {
  const least = Math.min(...plans.map((plan) => plan.objective));
  return plans
    .filter((plan) => plan.objective <= least * (1 + TIE))
    .reduce<Plan | undefined>((chosen, plan) => (chosen === undefined || other(plan, minimize) < other(chosen, minimize) ? plan : chosen), undefined);
}

/** What to run: the best of those that keep every limit well enough, else the least violation at the least objective. */
export function recommend(plans: readonly Plan[], minimize: Minimize, slack = LEAST_VIOLATION_SLACK): Plan | undefined {
  const safe = plans.filter((plan) => plan.prediction.feasibility >= ACCEPT_FEASIBILITY);
  if (safe.length > 0) return best(safe, minimize);
  const least = Math.min(...plans.map(violationOf));
  return best(
    plans.filter((plan) => violationOf(plan) <= least * slack),
    minimize,
  );
}

/** Plans that would cost more than twice what was accepted are no rescue, unless a budget given anew allows them. */
export function withinConsent(plans: readonly Plan[], { accepted, spentNanoUsd }: DecisionInput): readonly Plan[] {
  if (accepted === undefined) return plans;
  return plans.filter((plan) => spentNanoUsd + plan.prediction.remainingNanoUsd.p50 <= RESCUE_FACTOR * accepted.totalNanoUsdP95);
}

/**
 * Whether to leave the current allocation for the recommended one: for a clear gain, or because its limits are at risk.
 * @param isNewPhase  an announced change of the batch has just come: no change before it counts against one here
 */
export function worthSwitching(current: Plan, target: Plan, { switches, remainingSteps, stepsDone }: DecisionInput, isNewPhase: boolean): boolean {
  if (switches >= MAX_SWITCHES) return false;
  const { feasibility } = current.prediction;
  if (feasibility < STAY_FEASIBILITY && target.prediction.feasibility > feasibility + SWITCH_FEASIBILITY_GAIN) return true;
  if (feasibility < STAY_FEASIBILITY && violationOf(target) < violationOf(current) * (1 - SWITCH_MIN_GAIN)) return true;
  // The last ones are kept for limits at risk.
  if (switches >= MAX_GAIN_SWITCHES && !isNewPhase) return false;
  const made = isNewPhase ? 0 : switches;
  const ofAll = (SWITCH_MIN_GAIN_OF_ALL * (remainingSteps + stepsDone)) / remainingSteps;
  const least = Math.max(ofAll, SWITCH_MIN_GAIN * (1 + SWITCH_GAIN_RISE * made), SWITCH_GAIN_SDS * Math.hypot(target.logSd, current.logSd));
  return (
    target.objective < current.objective * Math.exp(-least) &&
    target.prediction.feasibility >= Math.min(feasibility, isNewPhase ? ACCEPT_FEASIBILITY : SWITCH_FEASIBILITY)
  );
}

/** Expected gain of looking at a plan instead of running the target, as a share of the target's objective. */
export function probeGain(plan: Plan, target: Plan): number {
  // Without an accepted target, being allowed at all is worth more than any improvement.
  const isRescue = target.prediction.feasibility < ACCEPT_FEASIBILITY;
  return gainOfLook({
    better: Math.max(Math.log(target.objective / plan.objective), isRescue ? RESCUE_GAIN : -Infinity),
    room: -Math.log(violationOf(plan)),
    logSd: plan.logSd,
    logSdAfter: SEEN_LOG_SD,
    acceptZ: ACCEPT_Z,
  });
}
/** What is left to doubt at a plan that was looked at. */
const SEEN_LOG_SD = 0.05;
const RESCUE_GAIN = 0.3;

export function incumbentOf(plans: readonly Plan[], minimize: Minimize): Plan | undefined {
  const likely = plans.filter((plan) => plan.prediction.feasibility >= INCUMBENT_FEASIBILITY);
  return best(likely.length > 0 ? likely : plans, minimize);
}

/** Goals near the stated one that a plan meets with probability 0.8: the earliest deadline within the budget, the least budget within the deadline. */
export function nearestGoals(plans: readonly Plan[], input: DecisionInput): NearestGoals {
  const { nowMs, spentNanoUsd, reservedNanoUsd } = input;
  const goal = planGoalOf(input);
  const upper = (p50: number, p95: number, sd: number) => p50 + ((p95 - p50) * (Math.exp(Z80 * sd) - 1)) / (Math.exp(Z95 * sd) - 1);
  const timeOf = ({ prediction: { remainingMs }, logSd }: Plan) => upper(remainingMs.p50, remainingMs.p95, logSd);
  const costOf = ({ prediction: { remainingNanoUsd }, logSd }: Plan) => upper(remainingNanoUsd.p50, remainingNanoUsd.p95, logSd);
  const inBudget = plans.filter((plan) => plan.limits.nanoUsd === undefined || costOf(plan) <= plan.limits.nanoUsd);
  const inTime = plans.filter((plan) => plan.limits.timeMs === undefined || timeOf(plan) <= plan.limits.timeMs);
  const soonest = Math.min(...inBudget.map(timeOf));
  const cheapest = Math.min(...inTime.map(costOf));
  return {
    ...(goal.deadlineAtMs !== undefined && Number.isFinite(soonest) ? { deadlineAtMs: Math.ceil(nowMs + soonest / limitShareOf(input)) } : {}),
    ...(goal.budgetNanoUsd !== undefined && Number.isFinite(cheapest)
      ? { budgetNanoUsd: Math.ceil(cheapest / limitShareOf(input) + spentNanoUsd + reservedNanoUsd) }
      : {}),
  };
}
