import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sameShape, type Allocation } from '../../contracts/allocation';
import { modelOfFunction } from '../../contracts/functions';
import { spentNanoUsd, stages, totalNanoUsd } from '../../contracts/money';
import type { JournalEntry, RunRecord, Trial } from '../../contracts/pipeline';
import { usd } from '../../contracts/units';
import { type MetricName } from '../../contracts/metrics';
import type { Job } from '../../contracts/job';
import type { Paint } from './output';
import { allocationText, clock, count, dollars, lossText, percent, plural, trackText, wrap } from './words';

/** A stretch of steps that one allocation did. */
export interface AllocationUse extends Allocation {
  readonly track: string;
  readonly reason: string;
}

/** Joins rounds of one track that kept their allocation; the reason is that of the first. */
function allocationsOf(journal: readonly JournalEntry[]): AllocationUse[] {
  const uses: AllocationUse[] = [];
  for (const { track, allocation, first, last, reason } of journal) {
    const steps = last - first;
    const i = uses.findLastIndex((use) => use.track === track);
    const before = uses[i];
    if (before && sameShape(before, allocation)) uses[i] = { ...before, steps: before.steps + steps };
    else uses.push({ ...allocation, track, steps, reason });
  }
  return uses;
}

/** The document of `--json` (docs/cli.md). */
export function runDocument(record: RunRecord, uiUrl: string | undefined) {
  const metrics = record.metrics ?? {};
  return {
    runId: record.runId,
    status: record.status,
    reason: record.reason,
    stages: record.stages,
    steps: record.step,
    totalSteps: record.totalSteps,
    loss: record.loss,
    validations: record.validations,
    weightsSha256: record.weightsSha256,
    metrics,
    costUsd: Object.fromEntries(stages.map((stage) => [stage, usd(record.ledger[stage] ? totalNanoUsd(record.ledger[stage]) : 0)])),
    wallMs: record.updatedAtMs - record.startedAtMs,
    deadlineMarginMs: record.deadlineAtMs === null ? null : record.deadlineAtMs - record.updatedAtMs,
    allocations: allocationsOf(record.journal),
    bestTrial: record.tune?.best ?? null,
    adoptedValues: record.adopted,
    trials: record.trials.map(({ index, state, value, step, parameters }) => ({ index, state, value, step, parameters })),
    modelUri: record.modelUri,
    version: record.version,
    functionName: record.functionName,
    notices: record.notices,
    uiUrl: uiUrl ?? null,
  };
}

export interface DescribeOptions {
  readonly uiUrl: string | undefined;
  /** Known to whoever started the run; the record alone does not say where the test set is. */
  readonly job: Job | undefined;
  readonly embedded: boolean;
  readonly paint: Paint;
  readonly width: number;
}

/** What a person reads at the end of a run. */
export function describeRun(record: RunRecord, { uiUrl, job, embedded, paint, width }: DescribeOptions): string {
  const rows: [string, string][] = [];
  const best = record.tune && record.trials.find(({ index }) => index === record.tune!.best);
  if (record.metrics) rows.push(['result', metricsText(record.metrics)]);
  rows.push(['training', `${count(record.step)} of ${plural(record.totalSteps, 'step')}, last loss ${lossText(record.loss)}`]);
  if (record.validations.length > 0) rows.push(['validation', validationText(record)]);
  if (best) rows.push(['best trial', `${trialText(best)}, of ${plural(record.trials.length, 'trial')} (${trialStates(record.trials)})`]);
  for (const [i, text] of allocationLines(record).entries()) rows.push([i === 0 ? 'allocations' : '', text]);
  rows.push(['spent', `${spendLine(record)}${embedded ? '. Run on this machine: nothing is charged' : ''}`], ['time', timeLine(record)]);
  if (record.modelUri) rows.push(['model', `${record.modelUri}${record.version ? ` (version ${record.version})` : ''}`]);
  if (record.weightsSha256) rows.push(['weights', `sha256 ${record.weightsSha256.slice(0, 16)}…`]);
  if (uiUrl) rows.push(['Temporal UI', uiUrl]);
  for (const text of record.notices) rows.push(['note', text]);
  if (record.adopted > 0)
    rows.push([
      'note',
      `bits are not promised: ${plural(record.adopted, 'value')} of another CPU model ${record.adopted === 1 ? 'was' : 'were'} taken over`,
    ]);
  const lines = rows.map(([name, text]) => `  ${paint('dim', name.padEnd(12))} ${wrap(text, width - 15).join(`\n${' '.repeat(15)}`)}`);
  const next = nextSteps(record, job);
  const widest = Math.max(0, ...next.map(([command]) => command.length));
  const tail =
    next.length === 0
      ? []
      : ['', paint('bold', 'Next'), ...next.map(([command, why]) => `  ${command.padEnd(widest)}   ${paint('dim', why)}`.trimEnd())];
  return [headline(record, paint), '', ...lines, ...tail].join('\n');
}

/** The newest validation; the curve itself is in `--json`. */
function validationText({ validations }: RunRecord): string {
  const { step, values } = validations.at(-1)!;
  const figures = Object.entries(values).map(([metric, value]) => `${metric} ${Number(value.toPrecision(4))}`);
  return `${figures.join(', ')} after step ${count(step)}, the last of ${plural(validations.length, 'validation')}`;
}

function headline({ runId, status, reason, step }: RunRecord, paint: Paint): string {
  const why = reason === '' || status === 'running' ? '' : `: ${reason}`;
  if (status === 'completed') return paint('green', `✓ ${runId} is done${why}`);
  if (status === 'running') return `● ${runId} is running${why}`;
  return paint(
    status === 'failed' ? 'red' : 'yellow',
    `${status === 'failed' ? '✗' : '!'} ${runId}: ${step === 0 && status in beforeFirstStep ? beforeFirstStep[status] : outcomeWords[status]}${why}`,
  );
}

const outcomeWords: Readonly<Record<Exclude<RunRecord['status'], 'completed' | 'running'>, string>> = {
  budgetExhausted: 'the budget was reached; the best model so far is kept',
  deadlineReached: 'the deadline was reached; the best model so far is kept',
  infeasibleGoal: 'the goal cannot be met',
  stopped: 'stopped',
  pruned: 'pruned',
  gateMissed: 'a required metric was missed, so nothing was deployed',
  diverged: 'training diverged; the last good checkpoint is kept',
  failed: 'failed',
};

/** Nothing is kept where nothing was trained. */
const beforeFirstStep: Partial<Record<RunRecord['status'], string>> = {
  budgetExhausted: 'the budget allows no step',
  deadlineReached: 'the deadline came before the first step',
  diverged: 'training diverged',
};

/** How each metric reads; macro and micro averages are in the JSON report alone. */
const metricWords: Partial<Record<MetricName, (value: number) => string>> = {
  accuracy: (value) => `accuracy ${percent(value)}`,
  loss: (value) => `loss ${lossText(value)}`,
  'top-5': (value) => `top-5 ${percent(value)}`,
  precision: (value) => `precision ${percent(value)}`,
  recall: (value) => `recall ${percent(value)}`,
  f1: (value) => `F1 ${value.toFixed(4)}`,
  'f1-macro': (value) => `F1 (macro) ${value.toFixed(4)}`,
  'roc-auc': (value) => `ROC AUC ${value.toFixed(4)}`,
  'pr-auc': (value) => `PR AUC ${value.toFixed(4)}`,
  perplexity: (value) => `perplexity ${value.toPrecision(4)}`,
  rmse: (value) => `RMSE ${value.toPrecision(4)}`,
  mae: (value) => `MAE ${value.toPrecision(4)}`,
  r2: (value) => `R² ${value.toFixed(4)}`,
};

function metricsText(metrics: NonNullable<RunRecord['metrics']>): string {
  const binary = metrics.f1 !== undefined;
  return (Object.entries(metricWords) as [MetricName, (value: number) => string][])
    .flatMap(([name, words]) => (metrics[name] === undefined || (binary && name === 'f1-macro') ? [] : [words(metrics[name])]))
    .join(', ');
}

function trialText({ index, parameters, value }: Trial): string {
  const set = Object.entries(parameters).map(([path, chosen]) => `${path.split('.').at(-1)} ${typeof chosen === 'number' ? Number(chosen.toPrecision(3)) : chosen}`); // prettier-ignore
  return `number ${index}: ${set.join(', ')}${value === null ? '' : ` (${Number(value.toPrecision(4))})`}`;
}

function trialStates(trials: readonly Trial[]): string {
  const states = new Map<string, number>();
  for (const { state } of trials) states.set(state, (states.get(state) ?? 0) + 1);
  return [...states].map(([state, n]) => `${n} ${state}`).join(', ');
}

const SHOWN_ALLOCATIONS = 8;
/** "313 steps: 2 workers of 1,769 MiB, ...": the allocation stands before a reason that does not name it itself. */
function useText(use: AllocationUse): string {
  const { workers, memoryMib, steps, reason } = use;
  const isNamed = reason.includes(`${plural(workers, 'worker')} of ${count(memoryMib)} MiB`);
  return [...(steps > 0 ? [plural(steps, 'step')] : []), ...(isNamed ? [] : [allocationText(use)]), reason].join(': ');
}
function allocationLines(record: RunRecord): string[] {
  const uses = allocationsOf(record.journal);
  const lines = uses.slice(0, SHOWN_ALLOCATIONS).map((use) => `${trackText(record, use.track)}, ${useText(use)}`);
  return uses.length > SHOWN_ALLOCATIONS ? [...lines, `... and ${plural(uses.length - SHOWN_ALLOCATIONS, 'more change')} (--json lists all)`] : lines;
}

function spendLine({ ledger, budgetNanoUsd }: RunRecord): string {
  const spent = spentNanoUsd(ledger);
  const by = stages.flatMap((stage) => (ledger[stage] ? [`${stage} ${dollars(totalNanoUsd(ledger[stage]))}`] : []));
  const of = budgetNanoUsd === null ? '' : ` of ${dollars(budgetNanoUsd)} (${((100 * spent) / budgetNanoUsd).toFixed(1)} %)`;
  return `${dollars(spent)}${of} at AWS list price${by.length > 0 ? `: ${by.join(', ')}` : ''}`;
}

function timeLine({ startedAtMs, updatedAtMs, deadlineAtMs }: RunRecord): string {
  const wall = clock(updatedAtMs - startedAtMs);
  if (deadlineAtMs === null) return wall;
  const margin = deadlineAtMs - updatedAtMs;
  return `${wall} of ${clock(deadlineAtMs - startedAtMs)} (${margin >= 0 ? `${clock(margin)} left` : `${clock(-margin)} late`})`;
}

function nextSteps({ runId, status, functionName, name, modelUri }: RunRecord, job: Job | undefined): [string, string][] {
  switch (status) {
    case 'completed': {
      const deployed = (functionName && modelOfFunction(functionName)) ?? (modelUri ? name : undefined);
      return deployed ? [[`smlt predict ${deployed} --data ${job?.data.test ? shortPath(job.data.test) : 'DATASET'} --index 0`, 'ask the deployed function'], [`smlt pull ${deployed}`, 'the model as plain files'], ['smlt list', 'all runs']] : [['smlt list', 'all runs']]; // prettier-ignore
    }
    case 'budgetExhausted':
      return [[`smlt resume ${runId} --budget USD`, 'go on with more money']];
    case 'deadlineReached':
      return [[`smlt resume ${runId} --deadline 20m`, 'go on with more time']];
    case 'infeasibleGoal':
      return [[`smlt resume ${runId} --budget USD --deadline 1h`, 'go on with a goal that can be met']];
    case 'stopped':
      return [[`smlt resume ${runId}`, 'go on where it stopped']];
    case 'diverged':
      return [[`smlt resume ${runId} JOB`, 'go on with a corrected job: a lower learning rate, or training.clipNorm']];
    case 'gateMissed':
      return [[`smlt resume ${runId} JOB`, 'go on with a changed job: more epochs, other data, or a lower requirement']];
    case 'failed':
      return [[`smlt logs ${runId}`, 'what was said'], [`smlt resume ${runId} JOB`, 'go on with a corrected job']]; // prettier-ignore
    case 'running':
      return [[`smlt stop ${runId}`, ''], [`smlt set-goal ${runId} --budget USD`, '']]; // prettier-ignore
    case 'pruned':
      return [];
  }
}

/** A folder as one would type it here. */
function shortPath(uri: string): string {
  if (!uri.startsWith('file:')) return uri;
  const path = fileURLToPath(uri);
  const near = relative(process.cwd(), path);
  return near.startsWith('..') ? path : near;
}
