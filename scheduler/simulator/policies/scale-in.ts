import type { Policy } from '../run';
import { decided, Meter, type Choice } from './choice';

export interface ScaleIn extends Choice {
  /** A worker goes while the loss expected ahead is worse by less than this share. */
  readonly threshold: number;
  readonly roundSteps: number;
  /** The loss after so many steps: all systems here make the same steps. */
  lossAfter(steps: number): number;
}
/** Rounds that a look ahead covers. */
const HORIZON_ROUNDS = 10;

/**
 * MLLess's scale-in tuner: the largest cluster first; once the loss is past its knee, a worker fewer each round while the
 * loss projected a while ahead stays within a threshold of what the first cluster would reach. It never adds one. Source:
 * Gimeno Sarroca and Sánchez-Artigas 2022. There a worker takes its samples with it; here the batch is the job's, so fewer
 * workers are slower, not noisier. The knee: where the loss lies farthest below the line between its ends.
 */
export function scaleIn({ memoryMib, threshold, roundSteps, lossAfter, workers: most }: ScaleIn): Policy {
  const meter = new Meter();
  let workers = most;
  let firstStepMs: number | undefined;
  let knee: number | undefined;
  return (request) => {
    const { stepsDone, remainingSteps } = request;
    knee ??= kneeOf(lossAfter, remainingSteps);
    const seen = meter.read(request);
    if (seen && Number.isFinite(seen.ms)) {
      firstStepMs ??= seen.ms;
      const horizonMs = HORIZON_ROUNDS * roundSteps * firstStepMs;
      const expected = lossAfter(stepsDone + horizonMs / seen.ms);
      const reference = lossAfter(stepsDone + horizonMs / firstStepMs);
      if (stepsDone >= knee && workers > 1 && (expected - reference) / reference < threshold) workers -= 1;
    }
    const choice = { workers, memoryMib };
    meter.begin(choice, request);
    return decided('run', choice, Math.min(roundSteps, remainingSteps), workers === most ? 'all workers' : 'the loss falls as fast with fewer');
  };
}

function kneeOf(lossAfter: (steps: number) => number, steps: number): number {
  const [first, last] = [lossAfter(0), lossAfter(steps)];
  let best = 0;
  let most = 0;
  for (let step = 0; step <= steps; step += 1) {
    const below = first + ((last - first) * step) / steps - lossAfter(step);
    if (below > most) [most, best] = [below, step];
  }
  return best;
}
