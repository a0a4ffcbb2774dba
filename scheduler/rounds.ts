import { EARLY_ROUNDS, LONGEST_EARLY_ROUND_MS, LONGEST_ROUND_MS, ORCHESTRATION_SHARE, ROUNDS_AHEAD, SHORTEST_ROUND_MS } from './constants';

export interface RoundLength {
  readonly stepMs: number;
  /** What a round costs beside its steps. */
  readonly overheadMs: number;
  readonly remainingSteps: number;
  /** Rounds already seen at this allocation. */
  readonly roundsSeen: number;
  /** Longer rounds are cut; left out: none is. */
  readonly mostSteps?: number | undefined;
}

/**
 * How many steps make a round: long enough that its overhead stays under 5 %, short enough to look at the plan about
 * twenty times in what remains, never beyond the longest round, and never leaving a stump for the last one.
 */
export function stepsPerRound({ stepMs, overheadMs, remainingSteps, roundsSeen, mostSteps = Infinity }: RoundLength): number {
  const longestMs = roundsSeen < EARLY_ROUNDS ? LONGEST_EARLY_ROUND_MS : LONGEST_ROUND_MS;
  const shortestMs = Math.max(SHORTEST_ROUND_MS, overheadMs * (1 / ORCHESTRATION_SHARE - 1));
  const aimMs = Math.min(longestMs, Math.max(shortestMs, (remainingSteps * stepMs) / ROUNDS_AHEAD));
  const most = Math.min(mostSteps, Math.max(1, Math.floor(longestMs / stepMs)));
  const steps = Math.min(Math.max(1, Math.ceil(aimMs / stepMs)), most);
  if (remainingSteps <= steps * 1.5 && remainingSteps <= most) return Math.max(1, remainingSteps);
  return Math.min(steps, Math.max(1, remainingSteps));
}
