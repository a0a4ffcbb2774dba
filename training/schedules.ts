import type { Optimizer } from '../contracts/optimizer';
import type { Schedule } from '../contracts/schedule';
import { cosinePi, power, powerOf } from './elementary';

/*
 * The learning rate is a function of the step alone (and, for reduce-on-plateau, of how often the rate was reduced before
 * it, which is state: plateau.ts), in arithmetic that every host gives the same bits for.
 */

/** From `high` at 0 to `low` at 1 along half a cosine. */
const cosineFall = (high: number, low: number, done: number) => low + (high - low) * ((1 + cosinePi(done)) / 2);

/** @param since  steps since the warm-up; @param total  steps of the whole schedule, without it */
function factorAt(schedule: Schedule, since: number, total: number, reductions: number): number {
  switch (schedule.kind) {
    case 'constant':
      return 1;
    case 'step':
      return power(schedule.factor, Math.floor(since / schedule.everySteps));
    case 'multistep':
      return power(schedule.factor, schedule.atSteps.filter((step) => step <= since).length);
    case 'exponential':
      return power(schedule.factor, since);
    case 'cosine':
      return cosineFall(1, schedule.minimumFactor, Math.min(1, since / Math.max(1, total)));
    case 'cosine-restarts': {
      const { at, length } = positionInCycle(since, schedule.firstSteps, schedule.multiplier);
      return cosineFall(1, schedule.minimumFactor, at / length);
    }
    case 'one-cycle':
      return oneCycle(schedule, since, total);
    case 'polynomial':
      return powerOf(1 - Math.min(1, since / Math.max(1, total)), schedule.power);
    case 'reduce-on-plateau':
      return Math.max(schedule.minimumFactor, power(schedule.factor, reductions));
  }
}

/** Cycles of first, first * multiplier, first * multiplier^2, ... steps. */
function positionInCycle(since: number, first: number, multiplier: number): { at: number; length: number } {
  if (multiplier === 1) return { at: since % first, length: first };
  let at = since;
  let length = first;
  while (at >= length) {
    at -= length;
    length *= multiplier;
  }
  return { at, length };
}

/** Phases end at fractional steps, as in PyTorch; a factor is reached at its phase's last one. */
function oneCycle(schedule: Extract<Schedule, { kind: 'one-cycle' }>, since: number, total: number): number {
  const { riseShare, startDivisor, endDivisor, shape, threePhase } = schedule;
  const [start, end] = [1 / startDivisor, 1 / startDivisor / endDivisor];
  const rise = riseShare * total - 1;
  const phases = threePhase
    ? [
        { last: rise, from: start, to: 1 },
        { last: 2 * riseShare * total - 2, from: 1, to: start },
        { last: total - 1, from: start, to: end },
      ]
    : [
        { last: rise, from: start, to: 1 },
        { last: total - 1, from: 1, to: end },
      ];
  let first = 0;
  for (const [i, { last, from, to }] of phases.entries()) {
    if (since <= last || i === phases.length - 1) {
      const done = last > first ? Math.min(1, (since - first) / (last - first)) : 1;
      return shape === 'linear' ? from + (to - from) * done : cosineFall(from, to, done);
    }
    first = last;
  }
  return end;
}

/**
 * Learning rate of a step (from 0): warm-up rises linearly to the full rate at its last step, then the schedule begins.
 * @param reductions  of the rate before this step, for reduce-on-plateau
 */
export function learningRateAt(optimizer: Optimizer, schedule: Schedule, step: number, totalSteps: number, reductions = 0): number {
  const { warmupSteps } = schedule;
  const full = (since: number) => factorAt(schedule, since, totalSteps - warmupSteps, reductions);
  return optimizer.learningRate * (step < warmupSteps ? ((step + 1) / warmupSteps) * full(0) : full(step - warmupSteps));
}
