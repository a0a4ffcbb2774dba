import type { Optimizer } from '../contracts/optimizer';
import type { Schedule } from '../contracts/schedule';
import { cosinePi, power } from './elementary';

/*
 * The learning rate is a function of the step alone, in arithmetic that every host gives the same bits for: only + - * /,
 * no library's pow or cos.
 */

function factorAt(schedule: Schedule, step: number, totalSteps: number): number {
  const { warmupSteps } = schedule;
  if (step < warmupSteps) return (step + 1) / warmupSteps;
  const since = step - warmupSteps;
  switch (schedule.kind) {
    case 'constant':
      return 1;
    case 'step':
      return power(schedule.factor, Math.floor(since / schedule.everySteps));
    case 'cosine': {
      const done = Math.min(1, since / Math.max(1, totalSteps - warmupSteps));
      return schedule.minimumFactor + (1 - schedule.minimumFactor) * ((1 + cosinePi(done)) / 2);
    }
  }
}

/** Learning rate of a step (from 0): warm-up rises linearly to the full rate at its last step, then the schedule begins. */
export function learningRateAt(optimizer: Optimizer, schedule: Schedule, step: number, totalSteps: number): number {
  return optimizer.learningRate * factorAt(schedule, step, totalSteps);
}
