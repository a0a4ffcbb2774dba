import type { Grant, Stage } from '../contracts/money';
import { spentNanoUsd } from '../contracts/money';
import type { RunRecord } from '../contracts/pipeline';

// Shares of what is left: evaluate and deploy are reserved first, so that a model that was paid for is also measured.
const RESERVED_SHARE = 0.05;
const RESERVED_AT_LEAST_NANO_USD = 300_000;
const RESERVED_AT_MOST_SHARE = 0.5;
const RESERVED_TIME_SHARE = 0.05;
const RESERVED_TIME_AT_LEAST_MS = 3_000;
const STAGE_SHARES: Partial<Record<Stage, number>> = { profile: 0.1, tune: 0.5 };

type Limits = Pick<RunRecord, 'budgetNanoUsd' | 'deadlineAtMs' | 'minimize' | 'ledger'>;

/** What a stage may spend of what a run has left, and until when. */
export function grantOf(stage: Stage, { budgetNanoUsd, deadlineAtMs, minimize, ledger }: Limits, nowMs: number): Grant {
  const isLast = stage === 'evaluate' || stage === 'deploy';
  const share = STAGE_SHARES[stage] ?? 1;
  const grant: Grant = { stage, ...(minimize !== null && { minimize }) };
  if (budgetNanoUsd !== null) {
    const wanted = Math.max(budgetNanoUsd * RESERVED_SHARE, RESERVED_AT_LEAST_NANO_USD);
    const reserved = isLast ? 0 : Math.min(wanted, budgetNanoUsd * RESERVED_AT_MOST_SHARE);
    grant.budgetNanoUsd = Math.max(0, Math.floor((budgetNanoUsd - spentNanoUsd(ledger) - reserved) * share));
  }
  if (deadlineAtMs !== null) {
    const leftMs = deadlineAtMs - nowMs;
    const reservedMs = isLast ? 0 : Math.max(RESERVED_TIME_AT_LEAST_MS, leftMs * RESERVED_TIME_SHARE);
    grant.deadlineAtMs = Math.floor(nowMs + (leftMs - reservedMs) * share);
  }
  return grant;
}

/** What the whole run may still spend: a goal that cannot be met is said against this, not against a stage's share. */
export function wholeGrant({ budgetNanoUsd, deadlineAtMs, ledger }: Limits): Grant {
  return {
    ...(budgetNanoUsd !== null && { budgetNanoUsd: Math.max(0, budgetNanoUsd - spentNanoUsd(ledger)) }),
    ...(deadlineAtMs !== null && { deadlineAtMs }),
  };
}
