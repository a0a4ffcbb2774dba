// The hard guard of money, outside the optimiser: what a round may begin, and when its functions stop by themselves.
import { limitWords } from '../contracts/money';
import type { Decision, DecisionInput, NearestGoals } from '../contracts/scheduling';
import { RESCUE_FACTOR, ROUND_OVERRUN, ROUND_STOP, SPEND_SHARE } from './constants';
import { withSteps, type Plan } from './plan';
import { formatCount, formatUsd } from './words';

/** A round within the money that is left: a shorter one, else a cheaper allocation, else the end. */
export function fitSpend(plan: Plan, plans: readonly Plan[], input: DecisionInput, nearest: NearestGoals): Plan | Decision {
  const { goal, spentNanoUsd, reservedNanoUsd, remainingSteps, accepted } = input;
  const { budgetRest, consentRest, restNanoUsd } = moneyLeft(input);
  if (restNanoUsd === Infinity) return plan;
  const fits = fitting(plan, restNanoUsd);
  if (fits) return fits;
  const cheaper = plans.flatMap((each) => fitting(each, restNanoUsd) ?? []);
  if (cheaper.length > 0) return cheaper.reduce((a, b) => (b.prediction.remainingNanoUsd.p50 < a.prediction.remainingNanoUsd.p50 ? b : a));
  const least = Math.min(...plans.map((each) => each.roundFixedNanoUsdP95 + each.stepNanoUsdP95));
  const next = `the cheapest next step may cost ${formatUsd(least)}; ${formatCount(remainingSteps, 'step')} to go`;
  if (consentRest < budgetRest) {
    return {
      kind: 'infeasibleGoal',
      reason: `The run has cost ${formatUsd(spentNanoUsd)}, and ${RESCUE_FACTOR} times the plan it started with is ${formatUsd(RESCUE_FACTOR * accepted!.totalNanoUsdP95)}: ${next}. Set the goal anew to go on.`,
      nearest,
    };
  }
  const kept = reservedNanoUsd > 0 ? ` beside ${formatUsd(reservedNanoUsd)} kept for later stages` : '';
  return {
    kind: 'budgetExhausted',
    reason: `${formatUsd(Math.max(0, restNanoUsd))} of ${limitWords('budget', goal.stage)}, ${formatUsd(goal.budgetNanoUsd!)}, is left${kept}, and ${next}.`,
    nearest,
  };
}

/**
 * How long each worker of the round may run, all its invocations together, before it stops for the money's sake: a round
 * that costs far more than it should ends itself, and what is left is planned anew. Undefined without a limit of money.
 * @returns ms, at least 1
 */
export function spendLimitMs({ allocation: { steps }, prediction, rates }: Plan, input: DecisionInput): number | undefined {
  const { restNanoUsd } = moneyLeft(input);
  if (restNanoUsd === Infinity) return undefined;
  const mostNanoUsd = SPEND_SHARE * Math.min(restNanoUsd, Math.max(restNanoUsd / ROUND_OVERRUN, ROUND_STOP * prediction.roundNanoUsdP95));
  return Math.max(1, Math.floor((mostNanoUsd - rates.roundNanoUsd - steps * rates.stepNanoUsd) / rates.nanoUsdPerMs));
}

function moneyLeft({ goal, spentNanoUsd, reservedNanoUsd, accepted }: DecisionInput) {
  const budgetRest = goal.budgetNanoUsd === undefined ? Infinity : goal.budgetNanoUsd - spentNanoUsd - reservedNanoUsd;
  const consentRest = accepted === undefined ? Infinity : RESCUE_FACTOR * accepted.totalNanoUsdP95 - spentNanoUsd;
  return { budgetRest, consentRest, restNanoUsd: Math.min(budgetRest, consentRest) };
}

/** The plan with so many steps that its p95 is a small part of what is left, at least one where the p95 of that fits. */
function fitting(plan: Plan, restNanoUsd: number): Plan | undefined {
  // One nano-dollar for rounding up.
  const stepsFor = (nanoUsd: number) => Math.floor((nanoUsd - plan.roundFixedNanoUsdP95 - 1) / plan.stepNanoUsdP95);
  if (stepsFor(SPEND_SHARE * restNanoUsd) < 1) return undefined;
  return withSteps(plan, Math.min(plan.allocation.steps, Math.max(1, stepsFor(restNanoUsd / ROUND_OVERRUN))));
}
