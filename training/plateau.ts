import type { Schedule } from '../contracts/schedule';

/*
 * Counters of reduce-on-plateau (PyTorch's ReduceLROnPlateau, mode min), five floats of the extra range's state. They
 * follow from the losses at absolute step numbers alone: in another round, after a cut, they are the same.
 */
type Settings = Extract<Schedule, { kind: 'reduce-on-plateau' }>;
const [BEST, BAD, COOLDOWN, REDUCTIONS, SUM] = [0, 1, 2, 3, 4];
const initial = [Infinity, 0, 0, 0, 0];

/** Floats that a schedule keeps behind the losses in the extra state. */
export const counterLength = ({ kind }: Schedule): number => (kind === 'reduce-on-plateau' ? initial.length : 0);

export function resetCounters(counters: Float32Array): void {
  counters.set(initial.slice(0, counters.length));
}

/** How often the rate has been reduced. */
export const reductionsOf = (counters: Float32Array): number => counters[REDUCTIONS] ?? 0;

/** Counts one step's mean training loss, in place; the last step of an interval decides. */
export function countLoss(schedule: Schedule, counters: Float32Array, step: number, loss: number): void {
  if (schedule.kind !== 'reduce-on-plateau' || step < schedule.warmupSteps) return;
  counters[SUM]! += loss;
  if ((step + 1 - schedule.warmupSteps) % schedule.everySteps !== 0) return;
  const mean = Math.fround(counters[SUM]! / schedule.everySteps);
  counters[SUM] = 0;
  decide(schedule, counters, mean);
}

function decide({ threshold, thresholdMode, patience, cooldown }: Settings, counters: Float32Array, mean: number): void {
  const best = counters[BEST]!;
  const bar = thresholdMode === 'relative' ? best * (1 - threshold) : best - threshold;
  if (mean < bar) {
    counters[BEST] = mean;
    counters[BAD] = 0;
  } else counters[BAD]!++;
  if (counters[COOLDOWN]! > 0) {
    counters[COOLDOWN]!--;
    counters[BAD] = 0;
  }
  if (counters[BAD]! <= patience) return;
  counters[REDUCTIONS]!++;
  counters[COOLDOWN] = cooldown;
  counters[BAD] = 0;
}
