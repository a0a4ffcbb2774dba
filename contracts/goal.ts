import { z } from 'zod';
import { Duration, durationMs, Instant } from './units';

const MS_PER_HOUR = 3_600_000;
const NANO_USD_PER_USD = 1e9;

/** What to make small within the limits: cost, time, or cost plus time where an hour is worth so many dollars. */
export const Minimize = z.union(
  [
    z.enum(['cost', 'time']),
    z.strictObject({ usdPerHour: z.number().positive('expected more than 0 dollars an hour; to leave time out of account, minimize cost') }),
  ],
  'expected cost, time, or { "usdPerHour": 12 }: the sum of both where an hour is worth $12',
);
export type Minimize = z.output<typeof Minimize>;

/** Money is counted in nano-dollars. */
export const BudgetUsd = z.number().min(1e-9, 'expected more than 0, at least a nano-dollar; leave it out for no budget');

/** What a person asks for: cost is minimised when there is a deadline, else time, unless said otherwise. */
export const Goal = z.strictObject({
  minimize: Minimize.optional(),
  budgetUsd: BudgetUsd.optional(),
  deadline: z
    .union([Duration, Instant], 'expected a duration such as 10m, or an instant such as 2027-01-31T18:00:00Z')
    .refine((deadline) => /^\d{4}-/.test(deadline) || durationMs(deadline) > 0, 'this is no time at all; expected more than 0s')
    .optional(),
});
export type Goal = z.output<typeof Goal>;

export const minimizeOf = ({ minimize, deadline }: Goal): Minimize => minimize ?? (deadline === undefined ? 'time' : 'cost');

/** What plans are compared by: ms for time, else nano-dollars. */
export function objectiveOf(minimize: Minimize, timeMs: number, nanoUsd: number): number {
  if (minimize === 'time') return timeMs;
  return minimize === 'cost' ? nanoUsd : nanoUsd + (minimize.usdPerHour * NANO_USD_PER_USD * timeMs) / MS_PER_HOUR;
}
