import { setCurrentDetails, upsertMemo, upsertSearchAttributes } from '@temporalio/workflow';
import { defineSearchAttributeKey } from '@temporalio/common';
import { spentNanoUsd, type Ledger } from '../contracts/money';
import type { RunRecord } from '../contracts/pipeline';
import { usd } from '../contracts/units';
import type { Allocation } from '../contracts/round';

const keys = {
  stage: defineSearchAttributeKey('SmltStage', 'KEYWORD'),
  allocation: defineSearchAttributeKey('SmltAllocation', 'KEYWORD'),
  model: defineSearchAttributeKey('SmltModel', 'KEYWORD'),
  step: defineSearchAttributeKey('SmltStep', 'INT'),
  loss: defineSearchAttributeKey('SmltLoss', 'DOUBLE'),
  spentUsd: defineSearchAttributeKey('SmltSpentUsd', 'DOUBLE'),
  deadline: defineSearchAttributeKey('SmltDeadline', 'DATETIME'),
};

/** Shows a run's state where Temporal Web UI and `temporal workflow list` look for it. */
export function show(record: RunRecord, searchAttributes: boolean): void {
  setCurrentDetails(details(record));
  upsertMemo({ smltStatus: record.status, smltReason: record.reason });
  // An attribute that the namespace does not know would hang the workflow task for ever.
  if (!searchAttributes) return;
  upsertSearchAttributes([
    { key: keys.stage, value: record.stage ?? record.status },
    { key: keys.model, value: record.name },
    { key: keys.step, value: record.step },
    { key: keys.spentUsd, value: usd(spentNanoUsd(record.ledger)) },
    ...(record.loss === null ? [] : [{ key: keys.loss, value: record.loss }]),
    ...(record.allocation === null ? [] : [{ key: keys.allocation, value: allocationText(record.allocation) }]),
    ...(record.deadlineAtMs === null ? [] : [{ key: keys.deadline, value: new Date(record.deadlineAtMs) }]),
  ]);
}

export const allocationText = ({ workers, memoryMib }: Allocation): string => `${workers} x ${memoryMib} MiB`;

function details(record: RunRecord): string {
  const rows: [string, string][] = [
    ['status', record.status],
    ['stage', record.stage ?? '-'],
    ['step', `${record.step} of ${record.totalSteps}`],
    ['loss', record.loss === null ? '-' : record.loss.toFixed(4)],
    ['allocation', record.allocation === null ? '-' : allocationText(record.allocation)],
    ['spent', spend(record.ledger, record.budgetNanoUsd)],
    ['deadline', record.deadlineAtMs === null ? 'none' : new Date(record.deadlineAtMs).toISOString()],
    ['last decision', record.journal.at(-1)?.reason ?? '-'],
  ];
  return [`**${record.name}**`, '', '| | |', '|---|---|', ...rows.map(([name, value]) => `| ${name} | ${value} |`)].join('\n');
}

function spend(ledger: Ledger, budgetNanoUsd: number | null): string {
  const spent = `$${usd(spentNanoUsd(ledger)).toFixed(6)}`;
  return budgetNanoUsd === null ? `${spent} (no budget)` : `${spent} of $${usd(budgetNanoUsd).toFixed(4)}`;
}
