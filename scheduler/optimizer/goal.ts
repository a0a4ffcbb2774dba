import { z } from 'zod';
import { SmltError } from '../../contracts/errors';
import { parseWith } from '../../contracts/job';

const MS_PER_HOUR = 3_600_000;

/**
 * What is wanted. `minimize`: cost, time, or the sum of both where an hour is worth that many dollars. Limits are optional;
 * a deadline is a span (`deadlineMs`) or a moment (`deadlineAtMs`, with the optimiser's `nowMs`).
 */
export const OptimizerGoal = z.strictObject({
  minimize: z.union([z.enum(['cost', 'time']), z.strictObject({ usdPerHour: z.number().positive('expected more than 0 dollars an hour') })]),
  deadlineMs: z.number().positive('expected more than 0; leave it out for no deadline').optional(),
  deadlineAtMs: z.number().optional(),
  budgetUsd: z.number().positive('expected more than 0; leave it out for no budget').optional(),
});
export type OptimizerGoal = z.output<typeof OptimizerGoal>;

export interface ResolvedGoal {
  readonly deadlineMs: number | undefined;
  readonly budgetUsd: number | undefined;
  /** Whether anything of it is counted in dollars. */
  readonly needsCost: boolean;
  /** Whether a look is dear by its time or by its cost. */
  readonly isTime: boolean;
  objective(timeMs: number, costUsd: number): number;
}

/** @throws {SmltError} `InvalidSpec`: a limit of zero, a deadline that has passed, a moment without `nowMs` */
export function resolveGoal(given: z.input<typeof OptimizerGoal>, nowMs: number | undefined): ResolvedGoal {
  const { minimize, deadlineMs, deadlineAtMs, budgetUsd } = parseWith(OptimizerGoal, given, 'the optimiser’s goal');
  if (deadlineMs !== undefined && deadlineAtMs !== undefined) throw refused('expected `deadlineMs` or `deadlineAtMs`, not both');
  if (deadlineAtMs !== undefined && (nowMs === undefined || !Number.isFinite(nowMs)))
    throw refused('`deadlineAtMs` is a moment: expected the optimiser’s `nowMs` beside it');
  if (deadlineAtMs !== undefined && deadlineAtMs <= nowMs!)
    throw refused(`the deadline passed ${nowMs! - deadlineAtMs} ms ago: expected a moment after nowMs (${nowMs})`);
  return {
    deadlineMs: deadlineAtMs === undefined ? deadlineMs : deadlineAtMs - nowMs!,
    budgetUsd,
    needsCost: minimize !== 'time' || budgetUsd !== undefined,
    isTime: minimize === 'time',
    objective: (timeMs, costUsd) => {
      if (minimize === 'time') return timeMs;
      return minimize === 'cost' ? costUsd : costUsd + (minimize.usdPerHour * timeMs) / MS_PER_HOUR;
    },
  };
}
const refused = (what: string) => new SmltError('InvalidSpec', `the optimiser’s goal is not valid: ${what}`);
