import { z } from 'zod';
import { Minimize } from './goal';

export const stages = ['profile', 'tune', 'train', 'evaluate', 'deploy'] as const;
export const Stage = z.enum(stages);
export type Stage = z.output<typeof Stage>;

/** What one invocation, or a sum of them, cost. Integer nano-dollars of AWS list price. */
export const Bill = z.object({
  invocations: z.int(),
  billedMs: z.number(),
  computeNanoUsd: z.int(),
  requestsNanoUsd: z.int(),
  storeNanoUsd: z.int(),
  estimatedNanoUsd: z.int(),
});
export type Bill = z.output<typeof Bill>;
export const noBill: Bill = { invocations: 0, billedMs: 0, computeNanoUsd: 0, requestsNanoUsd: 0, storeNanoUsd: 0, estimatedNanoUsd: 0 };

export function addBills(a: Bill, b: Bill): Bill {
  return {
    invocations: a.invocations + b.invocations,
    billedMs: a.billedMs + b.billedMs,
    computeNanoUsd: a.computeNanoUsd + b.computeNanoUsd,
    requestsNanoUsd: a.requestsNanoUsd + b.requestsNanoUsd,
    storeNanoUsd: a.storeNanoUsd + b.storeNanoUsd,
    estimatedNanoUsd: a.estimatedNanoUsd + b.estimatedNanoUsd,
  };
}
/** `estimatedNanoUsd` is the part of the total that nobody measured, not an extra. */
export const totalNanoUsd = (bill: Bill): number => bill.computeNanoUsd + bill.requestsNanoUsd + bill.storeNanoUsd;

/** What renting an exchange for so long comes to: a price of the store, as requests to it are. */
export const rentBill = (usdPerHour: number, durationMs: number): Bill => ({
  ...noBill,
  storeNanoUsd: Math.ceil((usdPerHour * 1e9 * durationMs) / 3_600_000),
});

/** How long each worker of a round may run, all its invocations together, before it stops for the money's sake. */
export const SpendLimitMs = z.number().positive();

/** Spend by stage. */
export const Ledger = z.partialRecord(Stage, Bill);
export type Ledger = z.output<typeof Ledger>;
export function charge(ledger: Ledger, stage: Stage, bill: Bill): Ledger {
  return { ...ledger, [stage]: addBills(ledger[stage] ?? noBill, bill) };
}
export const spentNanoUsd = (ledger: Ledger): number => stages.reduce((sum, stage) => sum + totalNanoUsd(ledger[stage] ?? noBill), 0);

/** A stage's limit in words: `the deadline`, or whose it is where nobody has set it. */
export const limitWords = (limit: 'deadline' | 'budget', stage: Stage | undefined): string =>
  stage === undefined ? `the ${limit}` : `the ${limit} of ${stage} (its share of the run’s)`;

/** The share of budget and deadline that a parent gives a child; the child never passes it. Left out: no limit. */
export const Grant = z.object({
  budgetNanoUsd: z.int().min(0).optional(),
  deadlineAtMs: z.number().optional(),
  /** Whose limits these are, where they are a stage's share of its run's: people know only the run's. */
  stage: Stage.optional(),
  /** What is wanted within the limits, where that was set anew; left out: the job's own. */
  minimize: Minimize.optional(),
});
export type Grant = z.output<typeof Grant>;
