import type { DecisionRequest } from '../../../contracts/scheduling';
import type { Policy } from '../run';
import { choicesOf, decided, isSame, Meter, useOf, type Choice, type Options, type PolicyGoal, type StepCost } from './choice';

export interface Siren extends Options {
  readonly first: Choice;
  readonly epochSteps: number;
  /** What training it on the same truth has taught it; left out: it learns while it runs. */
  readonly learnt?: ReadonlyMap<string, StepCost>;
}
export const keyOf = ({ workers, memoryMib }: Choice): string => `${workers} x ${memoryMib}`;

/**
 * The shape of Siren's policy: every epoch anew (workers, memory) under what is left of the budget. Source: Wang, Niu and Li
 * 2019, who train a network by reinforcement. Here its greedy equivalent: the value of an action is the mean of what it was
 * seen to cost; the best action whose price, paid to the end, keeps the limits. What was never tried but is next to
 * something tried, is hoped to scale perfectly, so that it is tried (optimism in place of a network's random exploration).
 * With `learnt` nothing is left to explore: what a network could at best converge to.
 */
export function siren({ first, epochSteps, learnt, ...options }: Siren): Policy {
  const { goal, workers, memoriesMib } = options;
  const meter = new Meter();
  const known = new Map<string, StepCost>(learnt);
  const choices = choicesOf(options);
  const hoped = (choice: Choice): StepCost | undefined => {
    const near = choices.filter((other) => known.has(keyOf(other)) && isNext(choice, other, workers, memoriesMib));
    const costs = near.map((other) => hopedFrom(known.get(keyOf(other))!, other, choice));
    return costs.length === 0 ? undefined : costs.reduce((a, b) => (b.ms < a.ms ? b : a));
  };
  return (request) => {
    const seen = meter.read(request);
    if (seen) known.set(keyOf(seen.choice), blended(learnt ? undefined : known.get(keyOf(seen.choice)), seen));
    let choice = first;
    if (known.size > 0) {
      const valued = choices.flatMap((each) => {
        const cost = known.get(keyOf(each)) ?? (learnt ? undefined : hoped(each));
        return cost ? [{ each, cost }] : [];
      });
      choice = bestOf(valued, request, goal);
    }
    meter.begin(choice, request);
    return decided(
      'run',
      choice,
      Math.min(epochSteps, request.remainingSteps),
      seen && isSame(seen.choice, choice) ? 'still best' : 'best for the next epoch',
    );
  };
}

function bestOf(valued: readonly { each: Choice; cost: StepCost }[], request: DecisionRequest, goal: PolicyGoal): Choice {
  const kept = valued.filter(({ cost }) => useOf(cost, request, goal) <= 1);
  const value = ({ ms, usd }: StepCost) => (goal.minimize === 'time' ? ms : usd);
  const better = (a: StepCost, b: StepCost) => (kept.length > 0 ? value(a) < value(b) : useOf(a, request, goal) < useOf(b, request, goal));
  return (kept.length > 0 ? kept : valued).reduce((a, b) => (better(b.cost, a.cost) ? b : a)).each;
}
/** One place along one axis. */
function isNext(a: Choice, b: Choice, workers: readonly number[], memoriesMib: readonly number[]): boolean {
  const apart = (list: readonly number[], x: number, y: number) => Math.abs(list.indexOf(x) - list.indexOf(y));
  return apart(workers, a.workers, b.workers) + apart(memoriesMib, a.memoryMib, b.memoryMib) === 1;
}
function hopedFrom({ ms, usd }: StepCost, from: Choice, to: Choice): StepCost {
  const faster = (to.workers * to.memoryMib) / (from.workers * from.memoryMib);
  // A smaller one is hoped to be a little cheaper: else nobody would ever go down.
  return { ms: ms / faster, usd: faster < 1 ? 0.95 * usd : usd };
}
const blended = (old: StepCost | undefined, { ms, usd }: StepCost): StepCost =>
  old && Number.isFinite(old.ms) ? { ms: (old.ms + ms) / 2, usd: (old.usd + usd) / 2 } : { ms, usd };
