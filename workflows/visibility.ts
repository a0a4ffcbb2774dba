import { setCurrentDetails, upsertMemo, upsertSearchAttributes } from '@temporalio/workflow';
import { defineSearchAttributeKey } from '@temporalio/common';
import { spentNanoUsd, type Ledger } from '../contracts/money';
import type { RunRecord } from '../contracts/pipeline';
import { usd } from '../contracts/units';
import type { Allocation } from '../contracts/round';
import type { RunOpening } from '../activities/runs';
import type { Progress } from './messages';

const keys = {
  stage: defineSearchAttributeKey('SmltStage', 'KEYWORD'),
  allocation: defineSearchAttributeKey('SmltAllocation', 'KEYWORD'),
  model: defineSearchAttributeKey('SmltModel', 'KEYWORD'),
  step: defineSearchAttributeKey('SmltStep', 'INT'),
  loss: defineSearchAttributeKey('SmltLoss', 'DOUBLE'),
  spentUsd: defineSearchAttributeKey('SmltSpentUsd', 'DOUBLE'),
  deadline: defineSearchAttributeKey('SmltDeadline', 'DATETIME'),
};

/** What people search workflows by: a run's, or that of a stage which was started alone. */
interface Found {
  readonly stage: string;
  readonly name: string;
  readonly step: number;
  readonly loss: number | null;
  readonly allocation: Allocation | null;
  readonly spentNanoUsd: number;
  readonly deadlineAtMs: number | null;
}

/** Shows a run's state where Temporal Web UI and `temporal workflow list` look for it. */
export function show(record: RunRecord, searchAttributes: boolean): void {
  setCurrentDetails(details(record));
  upsertMemo({ smltStatus: record.status, smltReason: record.reason });
  if (searchAttributes) makeFindable({ ...record, stage: record.stage ?? record.status, spentNanoUsd: spentNanoUsd(record.ledger) });
}

/** A stage that was started alone, before it has made any progress. */
export function showOpening(stage: string, name: string, { deadlineAtMs, searchAttributes }: RunOpening): void {
  if (searchAttributes) makeFindable({ stage, name, step: 0, loss: null, allocation: null, spentNanoUsd: 0, deadlineAtMs });
}

/** The same while it runs. An attribute that the namespace does not know would hang the workflow task for ever: ask first. */
export function showStage(name: string, { deadlineAtMs, searchAttributes }: RunOpening, progress: Progress): void {
  const { step, totalSteps, loss, allocation, reason } = progress;
  setCurrentDetails(
    tableOf(name, [
      ['stage', progress.stage],
      ['step', `${step} of ${totalSteps}`],
      ['loss', lossText(loss)],
      ['allocation', allocationText(allocation)],
      ['spent', `$${usd(progress.spentNanoUsd).toFixed(6)}`],
      ['last decision', reason],
    ]),
  );
  if (searchAttributes) makeFindable({ ...progress, name, deadlineAtMs });
}

function makeFindable({ stage, name, step, loss, allocation, spentNanoUsd: spent, deadlineAtMs }: Found): void {
  upsertSearchAttributes([
    { key: keys.stage, value: stage },
    { key: keys.model, value: name },
    { key: keys.step, value: step },
    { key: keys.spentUsd, value: usd(spent) },
    ...(loss === null ? [] : [{ key: keys.loss, value: loss }]),
    ...(allocation === null ? [] : [{ key: keys.allocation, value: allocationText(allocation) }]),
    ...(deadlineAtMs === null ? [] : [{ key: keys.deadline, value: new Date(deadlineAtMs) }]),
  ]);
}

const allocationText = ({ workers, memoryMib }: Allocation): string => `${workers} x ${memoryMib} MiB`;
const lossText = (loss: number | null) => (loss === null ? '-' : loss.toFixed(4));

function details(record: RunRecord): string {
  const best = record.tune && record.trials.find(({ index }) => index === record.tune!.best);
  return tableOf(record.name, [
    ['status', record.status],
    ['stage', record.stage ?? '-'],
    ['step', `${record.step} of ${record.totalSteps}`],
    ['loss', lossText(record.loss)],
    ['allocation', record.allocation === null ? '-' : allocationText(record.allocation)],
    ['spent', spend(record.ledger, record.budgetNanoUsd)],
    ['deadline', record.deadlineAtMs === null ? 'none' : new Date(record.deadlineAtMs).toISOString()],
    ...(best ? [['best trial', `${best.index}: ${record.tune!.metric} ${best.value!.toFixed(4)}`] as const] : []),
    ['last decision', record.journal.at(-1)?.reason ?? '-'],
  ]);
}

function tableOf(title: string, rows: readonly (readonly [string, string])[]): string {
  return [`**${title}**`, '', '| | |', '|---|---|', ...rows.map(([name, value]) => `| ${name} | ${value} |`)].join('\n');
}

function spend(ledger: Ledger, budgetNanoUsd: number | null): string {
  const spent = `$${usd(spentNanoUsd(ledger)).toFixed(6)}`;
  return budgetNanoUsd === null ? `${spent} (no budget)` : `${spent} of $${usd(budgetNanoUsd).toFixed(4)}`;
}
