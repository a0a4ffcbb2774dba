import type { Observation } from '../contracts/scheduling';
import { DRIFT_BASELINE_ROUNDS, DRIFT_MOST_OF_ROUND, DRIFT_NOISE, DRIFT_SLACK, DRIFT_STEADY_ROUNDS, DRIFT_THRESHOLD, MOVED_SHARE } from './constants';
import { median } from './normal';
import { settingKey } from './setting';

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

const sameSetting = (a: Observation, b: Observation) => settingKey(a) === settingKey(b);

/**
 * Whether the newest allocation's rounds have left its own first rounds behind. The prediction is no yardstick:
 * it is wrong by a few percent everywhere, which would alarm without any event.
 */
export function findDrift(observations: readonly Observation[]): Drift | undefined {
  const newest = observations.at(-1);
  if (newest === undefined) return undefined;
  const rounds = observations.filter((each) => sameSetting(each, newest) && !each.movedSince && !each.cold && each.steps > 0 && each.stepMs > 0);
  const count = baselineLength(rounds);
  const baseline = rounds.slice(0, count);
  const later = rounds.slice(count);
  if (later.length === 0) return undefined;
  const usual = (part: (each: Observation) => number) => medianByVotes(baseline, part);
  const usualMs = usual((each) => each.stepMs);
  const spread = Math.sqrt(baseline.reduce((sum, each) => sum + Math.log(each.stepMs / usualMs) ** 2, 0) / Math.max(1, count - 1));
  const noise = Math.max(DRIFT_NOISE, spread);
  const alarm = cumulativeSumAlarm(later.map((each) => clipped(Math.log(each.stepMs / usualMs) / noise)));
  if (alarm === undefined) return undefined;
  const logs = rounds.map((each) => Math.log(each.stepMs));
  const after = rounds.slice(changePoint(logs, count, count + alarm.at));
  const ratio = (part: (each: Observation) => number) => median(after.map(part)) / Math.max(usual(part), 1e-9);
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
  // An alarm over less than a tenth is noise that the first rounds happened to hide.
  return movedRatio(stepRatio) === 1 ? undefined : drift;
}

/** A mean of seventy rounds outvotes two single ones; one straggler spoils the mean of a few, which is one vote. */
const votesOf = ({ merged }: Observation): number => (merged < DRIFT_STEADY_ROUNDS ? 1 : merged);

/** How many observations hold the first rounds: a compacted one stands for many. */
function baselineLength(rounds: readonly Observation[]): number {
  let sum = 0;
  return rounds.findIndex((each) => (sum += votesOf(each)) >= DRIFT_BASELINE_ROUNDS) + 1 || rounds.length;
}

function medianByVotes(observations: readonly Observation[], valueOf: (each: Observation) => number): number {
  const sorted = observations.map((each) => ({ value: valueOf(each), votes: votesOf(each) })).sort((a, b) => a.value - b.value);
  const half = sorted.reduce((sum, { votes }) => sum + votes, 0) / 2;
  let sum = 0;
  return sorted.find(({ votes }) => (sum += votes) >= half)!.value;
}

/** One round may have met a straggler, however long: it takes two for an alarm. */
const clipped = (value: number): number => Math.max(-DRIFT_MOST_OF_ROUND, Math.min(DRIFT_MOST_OF_ROUND, value));

/**
 * Marks what was measured before each drift with how far things have moved since. A drift so found is kept whatever
 * allocation comes next: it is a fact about the world, not about the allocation that showed it.
 * @param observations  in the order of their rounds
 */
export function followDrifts(observations: readonly Observation[]): { observations: Observation[]; newest: Drift | undefined } {
  let followed: Observation[] = [];
  let newest: Drift | undefined;
  for (const observation of observations) {
    followed = [...followed, observation];
    const drift = findDrift(followed);
    if (drift === undefined) continue;
    newest = drift;
    followed = followed.map((each) => (each.round < drift.sinceRound ? moved(each, drift, observation) : each));
  }
  return { observations: followed, newest };
}

const moved = (observation: Observation, { computeRatio, syncRatio }: Drift, seenAt: Observation): Observation => {
  const { compute, sync } = observation.movedSince ?? { compute: 1, sync: 1 };
  // What happened to one exchange tells nothing of another, and a worker alone has none: what it waits for is itself.
  const isSameExchange =
    observation.allocation.exchange === seenAt.allocation.exchange && (seenAt.allocation.workers > 1 || observation.allocation.workers === 1);
  return {
    ...observation,
    movedSince: { compute: compute * movedRatio(computeRatio), sync: isSameExchange ? sync * movedRatio(syncRatio) : sync },
  };
};

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
export const movedRatio = (ratio: number): number =>
  Math.abs(ratio - 1) > MOVED_SHARE && Number.isFinite(ratio) ? Math.max(1 / MOST_MOVED, Math.min(MOST_MOVED, ratio)) : 1;
/** More is a component that was, or became, about nothing. */
const MOST_MOVED = 100;
