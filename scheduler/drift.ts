import type { Observation } from '../contracts/scheduling';
import { DRIFT_BASELINE_ROUNDS, DRIFT_NOISE, DRIFT_SLACK, DRIFT_THRESHOLD, MOVED_SHARE } from './constants';
import { median } from './normal';

export interface Drift {
  /** The first round of the new state of things. */
  readonly sinceRound: number;
  readonly stepRatio: number;
  readonly computeRatio: number;
  readonly syncRatio: number;
}

/**
 * Where a two-sided cumulative sum leaves its band. Source: Page 1954.
 * @param values  deviations in units of their noise
 */
export function cumulativeSumAlarm(values: readonly number[]): { at: number } | undefined {
  let up = 0;
  let down = 0;
  for (const [i, value] of values.entries()) {
    up = Math.max(0, up + value - DRIFT_SLACK);
    down = Math.max(0, down - value - DRIFT_SLACK);
    if (up > DRIFT_THRESHOLD || down > DRIFT_THRESHOLD) return { at: i };
  }
  return undefined;
}

const sameShape = (a: Observation, b: Observation) =>
  a.allocation.workers === b.allocation.workers && a.allocation.memoryMib === b.allocation.memoryMib && a.batchSize === b.batchSize;

/**
 * Whether the newest allocation's rounds have left its own first rounds behind. The prediction is no yardstick:
 * it is wrong by a few percent everywhere, which would alarm without any event.
 */
export function findDrift(observations: readonly Observation[]): Drift | undefined {
  const newest = observations.at(-1);
  if (newest === undefined) return undefined;
  const rounds = observations.filter((each) => sameShape(each, newest) && !each.cold && each.steps > 0 && each.stepMs > 0);
  const baseline = rounds.slice(0, DRIFT_BASELINE_ROUNDS);
  const later = rounds.slice(DRIFT_BASELINE_ROUNDS);
  if (later.length === 0) return undefined;
  const usualMs = median(baseline.map((each) => each.stepMs));
  const spread = Math.sqrt(baseline.reduce((sum, each) => sum + Math.log(each.stepMs / usualMs) ** 2, 0) / (baseline.length - 1));
  const noise = Math.max(DRIFT_NOISE, spread);
  const alarm = cumulativeSumAlarm(later.map((each) => Math.log(each.stepMs / usualMs) / noise));
  if (alarm === undefined) return undefined;
  const logs = rounds.map((each) => Math.log(each.stepMs));
  const after = rounds.slice(changePoint(logs, DRIFT_BASELINE_ROUNDS, DRIFT_BASELINE_ROUNDS + alarm.at));
  const ratio = (part: (each: Observation) => number) => median(after.map(part)) / Math.max(median(baseline.map(part)), 1e-9);
  const stepRatio = ratio((each) => each.stepMs);
  const split = [...baseline, ...after].every((each) => each.parts !== undefined);
  const share = (each: Observation) =>
    each.parts!.computeMs /
    Math.max(
      Object.values(each.parts!).reduce((sum, partMs) => sum + partMs, 0),
      1e-9,
    );
  const drift: Drift = {
    sinceRound: after[0]!.round,
    stepRatio,
    computeRatio: split ? ratio((each) => each.stepMs * share(each)) : stepRatio,
    syncRatio: split ? ratio((each) => each.stepMs * (1 - share(each))) : stepRatio,
  };
  // An alarm over less than a tenth is noise that three first rounds happened to hide.
  return movedRatio(stepRatio) === 1 ? undefined : drift;
}

/** The border, from `first` to `last`, that leaves two level stretches with the least squares around their means. */
function changePoint(values: readonly number[], first: number, last: number): number {
  const squares = (list: readonly number[]) => {
    const mean = list.reduce((sum, value) => sum + value, 0) / list.length;
    return list.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  };
  let border = first;
  let least = Infinity;
  for (let candidate = first; candidate <= last; candidate += 1) {
    const rest = squares(values.slice(0, candidate)) + squares(values.slice(candidate));
    if (rest < least) [border, least] = [candidate, rest];
  }
  return border;
}

/** How much an old observation's component must be scaled to speak of today: only components that moved by a tenth are. */
export const movedRatio = (ratio: number): number => (Math.abs(ratio - 1) > MOVED_SHARE && Number.isFinite(ratio) ? ratio : 1);
