import { keepsLaneStates } from '../contracts/lane-state';
import { isPowerOfTwo } from '../contracts/tree-nodes';
import { mostLanes } from '../contracts/cut';
import { computeGuessMs, syncFeatures, type Shape, type Workload } from './model/workload';
import { SYNC_WEIGHTS } from './model/traffic';

/** The busiest worker never computes more than this share longer: what a wrong guess of the compute can cost. */
const MOST_EXTRA_LANES = 1 / 3;
/** Units are worth an uneven cut only where they save this share of the step. */
const MIN_GAIN = 0.1;

/**
 * In what units of lanes so many workers should be cut, by the guess from before anything was observed; undefined for one by one.
 * A number of workers that is no power of two cuts deep into the tree, and each node that falls apart is published once more:
 * 10 workers move 2.5 times as much with 26 of 256 lanes as with 32. Values do not depend on it, so like groups it is no decision
 * of its own but follows from the rest of an allocation (docs/synchronisation.md).
 */
export function laneUnitOf(workload: Workload, shape: Omit<Shape, 'laneUnit'>): number | undefined {
  const { lanes } = workload;
  const { workers } = shape;
  // What lanes keep is memory that was counted for an even cut.
  if (isPowerOfTwo(workers) || keepsLaneStates(workload)) return undefined;
  const stepMs = (laneUnit: number) => guessMs(workload, { ...shape, laneUnit });
  let [best, leastMs] = [1, (1 - MIN_GAIN) * stepMs(1)];
  for (let unit = 2; unit * workers <= lanes; unit *= 2) {
    if (mostLanes(lanes, workers, unit) > (1 + MOST_EXTRA_LANES) * mostLanes(lanes, workers)) continue;
    const ms = stepMs(unit);
    if (ms < leastMs) [best, leastMs] = [unit, ms];
  }
  return best === 1 ? undefined : best;
}

const guessMs = (workload: Workload, shape: Shape): number =>
  computeGuessMs(workload, shape) + syncFeatures(workload, shape).reduce((sum, term, i) => sum + SYNC_WEIGHTS[i]! * term, 0);
