import { keepsLaneStates, type LaneKeeping } from './lane-state';
import { LOSS_WINDOW } from './step-names';

const FLOAT_BYTES = 4;
const MOST_HISTORY_BYTES = 2 ** 28;
const MOST_HISTORY_STEPS = 64;

interface RoundBounds extends LaneKeeping {
  /** Fixed by the job (`allocation.stepsPerRound`). */
  readonly stepsPerRound: number | undefined;
  readonly paramCount: number;
}

/** Steps that a round may have at most: a loss window, so that the newest state holds all of its losses, or what the job fixes. */
export function mostRoundSteps({ stepsPerRound = Infinity, paramCount, ...keeping }: RoundBounds): number {
  return Math.min(stepsPerRound, LOSS_WINDOW, historySteps(keeping, paramCount));
}

/** While lanes keep something, the exchange keeps the parameters of all steps of a round. */
function historySteps(keeping: LaneKeeping, paramCount: number): number {
  if (!keepsLaneStates(keeping)) return Infinity;
  return Math.max(1, Math.min(MOST_HISTORY_STEPS, Math.floor(MOST_HISTORY_BYTES / (FLOAT_BYTES * paramCount))));
}
