import type { RunOpening } from '../activities/runs';
import { canonicalJson } from '../contracts/canonical-json';
import type { Job } from '../contracts/job';
import { changeRecord, type RecordChange, type RunRecord } from '../contracts/pipeline';
import { writeRecord } from './activities';
import { show } from './visibility';

const SAVE_EVERY_MS = 2_000;
/** Decisions that travel with the workflow and its queries; the stored record keeps more. */
const SHOWN_JOURNAL = 20;

/** A run's record before its first stage. */
export function firstRecord(run: string, job: Job, opening: RunOpening): RunRecord {
  const { startedAtMs, deadlineAtMs, budgetNanoUsd, ledger, notices } = opening;
  return {
    ...{
      formatVersion: 1,
      runId: run,
      name: job.name,
      status: 'running',
      reason: 'started',
      startedAtMs,
      updatedAtMs: Date.now(),
      stages: {},
      stage: null,
    },
    ...{
      step: 0,
      totalSteps: 0,
      loss: null,
      allocation: null,
      ledger,
      budgetNanoUsd,
      deadlineAtMs,
      minimize: null,
      journal: [],
      trials: [],
      validations: [],
      metrics: null,
    },
    ...{ tune: job.tune ? { metric: job.tune.metric, best: null } : null, adopted: 0 },
    ...{ weightsSha256: null, modelUri: null, version: null, functionName: null, notices: [...notices] },
  };
}

/** A run's record while it runs: shown at once, written to the store in order, and of it only what changed since. */
export class RecordKeeper {
  #written: RunRecord | null = null;
  #writing: Promise<void> = Promise.resolve();
  #savedAtMs = 0;

  constructor(
    private record: RunRecord,
    private readonly searchAttributes: boolean,
  ) {}

  get current(): RunRecord {
    return this.record;
  }

  update(change: RecordChange): void {
    const changed = changeRecord(this.record, { ...change, updatedAtMs: Date.now() });
    this.record = { ...changed, journal: changed.journal.slice(-SHOWN_JOURNAL), validations: changed.validations.slice(-SHOWN_JOURNAL) };
    show(this.record, this.searchAttributes);
  }

  /** Changes the record, and returns once the store has it. */
  save(change: RecordChange = {}): Promise<void> {
    this.update(change);
    this.#savedAtMs = Date.now();
    this.#writing = this.#writing.catch(() => undefined).then(() => this.#write());
    return this.#writing;
  }

  /** Queries always see the newest; the store need not hear of every round. */
  saveNowAndThen(): void {
    if (Date.now() - this.#savedAtMs >= SAVE_EVERY_MS) this.save().catch(() => undefined);
  }

  async #write(): Promise<void> {
    const now = this.record;
    await writeRecord({ run: now.runId, change: changesSince(this.#written, now) });
    this.#written = now;
  }
}

function changesSince(before: RunRecord | null, now: RunRecord): RecordChange {
  if (before === null) return now;
  const changed = Object.entries(now).filter(([field, value]) => value !== before[field as keyof RunRecord]);
  const { journal, trials, validations, ...rest } = Object.fromEntries(changed) as RecordChange;
  return {
    ...rest,
    ...(validations ? { validations: validations.filter((point) => !before.validations.includes(point)) } : {}),
    ...(journal ? { journal: journal.filter((entry) => !before.journal.includes(entry)) } : {}),
    ...(trials ? { trials: trials.filter((trial) => !before.trials.some((known) => canonicalJson(known) === canonicalJson(trial))) } : {}),
  };
}
