import { keepsLaneStates, type Compression } from './compression';
import { LOSS_WINDOW } from './step-names';

const FLOAT_BYTES = 4;
const MOST_HISTORY_BYTES = 2 ** 28;
const MOST_HISTORY_STEPS = 64;

interface RoundBounds {
  /** Fixed by the job (`allocation.stepsPerRound`). */
  readonly stepsPerRound: number | undefined;
  readonly compression: Compression | undefined;
  readonly paramCount: number;
}

/** Steps that a round may have at most: a loss window, so that the newest state holds all of its losses, or what the job fixes. */
export function mostRoundSteps({ stepsPerRound = Infinity, compression, paramCount }: RoundBounds): number {
  return Math.min(stepsPerRound, LOSS_WINDOW, historySteps(compression, paramCount));
}

/** While lanes hold something back, the exchange keeps the parameters of all steps of a round. */
function historySteps(compression: Compression | undefined, paramCount: number): number {
  if (!keepsLaneStates(compression)) return Infinity;
  return Math.max(1, Math.min(MOST_HISTORY_STEPS, Math.floor(MOST_HISTORY_BYTES / (FLOAT_BYTES * paramCount))));
}
