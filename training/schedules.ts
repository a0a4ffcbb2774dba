import type { Optimizer, Schedule } from '../contracts/optimizer';

/*
 * The learning rate is a function of the step alone, in arithmetic that every host gives the same bits for: only + - * /,
 * no library's pow or cos.
 */

/** base^exponent by squaring, for a whole exponent from 0. */
export function power(base: number, exponent: number): number {
  let result = 1;
  let square = base;
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result *= square;
    square *= square;
  }
  return result;
}

/** cos(pi * t) for t in [0, 1]: Taylor's series to x^22, Horner's scheme; exact at 0, 1/2 and 1. */
export function cosinePi(t: number): number {
  if (t > 0.5) return -cosinePi(1 - t);
  if (t === 0.5) return 0;
  const square = Math.PI * t * (Math.PI * t);
  let sum = 1;
  for (let n = 22; n >= 2; n -= 2) sum = 1 - (sum * square) / (n * (n - 1));
  return sum;
}

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
