import type { Decision, DecisionRequest } from '../../../contracts/scheduling';

export interface Choice {
  readonly workers: number;
  readonly memoryMib: number;
}
/** What a step takes at a choice, waiting, starting and the workflow included. Infinity: it does not get through one. */
export interface StepCost {
  readonly ms: number;
  readonly usd: number;
}
/** What a policy is to reach. The policies of others have no guard of their own: who runs them looks at the limits afterwards. */
export interface PolicyGoal {
  readonly minimize: 'cost' | 'time';
  readonly deadlineMs?: number | undefined;
  readonly budgetUsd?: number | undefined;
}

/** What a policy may choose from, and for what. */
export interface Options {
  readonly goal: PolicyGoal;
  readonly workers: readonly number[];
  readonly memoriesMib: readonly number[];
}
export const choicesOf = ({ workers, memoriesMib }: Options): Choice[] =>
  workers.flatMap((count) => memoriesMib.map((memoryMib) => ({ workers: count, memoryMib })));

const quantiles = { p05: 1, p50: 1, p95: 1 };
/** Nothing is predicted: the policies of others promise nothing. */
const prediction = { stepMs: 1, remainingMs: quantiles, remainingNanoUsd: quantiles, roundNanoUsdP95: 1, feasibility: 1 };
export const decided = (kind: 'probe' | 'run', { workers, memoryMib }: Choice, steps: number, reason: string): Decision => ({
  ...{ kind, reason, prediction },
  allocation: { workers, memoryMib, steps: Math.max(1, steps) },
});
export const isSame = (a: Choice, b: Choice): boolean => a.workers === b.workers && a.memoryMib === b.memoryMib;

/** Whether the rest of the work keeps the limits at this price of a step, and by what factor it passes them (at most 1: it does not). */
export function useOf(
  { ms, usd }: StepCost,
  { nowMs, spentNanoUsd, remainingSteps }: DecisionRequest,
  { deadlineMs, budgetUsd }: PolicyGoal,
): number {
  const ofTime = deadlineMs === undefined ? 0 : (nowMs + ms * remainingSteps) / deadlineMs;
  const ofMoney = budgetUsd === undefined ? 0 : (spentNanoUsd / 1e9 + usd * remainingSteps) / budgetUsd;
  return Math.max(ofTime, ofMoney);
}

/** Learns what a step cost from what passed between two decisions. */
export class Meter {
  #last: { readonly choice: Choice; readonly nowMs: number; readonly spentNanoUsd: number; readonly stepsDone: number } | undefined;

  begin(choice: Choice, { nowMs, spentNanoUsd, stepsDone }: DecisionRequest): void {
    this.#last = { choice, nowMs, spentNanoUsd, stepsDone };
  }
  /** Of the round since `begin`; undefined before the first one. */
  read({ nowMs, spentNanoUsd, stepsDone }: DecisionRequest): (StepCost & { readonly choice: Choice }) | undefined {
    if (this.#last === undefined) return undefined;
    const { choice } = this.#last;
    const steps = stepsDone - this.#last.stepsDone;
    if (steps === 0) return { choice, ms: Infinity, usd: Infinity };
    return { choice, ms: (nowMs - this.#last.nowMs) / steps, usd: (spentNanoUsd - this.#last.spentNanoUsd) / 1e9 / steps };
  }
}
