import { z } from 'zod';
import { canonicalJson } from '../contracts/canonical-json';
import { checkBatches } from '../contracts/check-batches';
import { SmltError } from '../contracts/errors';
import { Job } from '../contracts/job';
import type { Ledger } from '../contracts/money';
import { names, checkRunId } from '../contracts/names';
import { changeRecord, RunRecord, type RecordChange } from '../contracts/pipeline';
import { durationMs, nanoUsd } from '../contracts/units';
import { checkSearch } from '../scheduler';
import { sha256Hex } from '../storage/digest';
import type { EngineDependencies } from './dependencies';
import { exchangeOptions } from './exchanges';
import { decodeRecord, encodeRecord, findRecord } from './records';

/** A job as it was started, or resumed, and what its goal came to then. */
export const RunSpec = z.object({ formatVersion: z.literal(1), job: Job, startedAtMs: z.number(), deadlineAtMs: z.number().nullable() });
export type RunSpec = z.output<typeof RunSpec>;

export interface RunOpening {
  readonly startedAtMs: number;
  readonly deadlineAtMs: number | null;
  readonly budgetNanoUsd: number | null;
  /** What earlier starts of this run have spent. */
  readonly ledger: Ledger;
  readonly searchAttributes: boolean;
  /** When an instance that was invoked now must have ended. */
  readonly functionTimeoutMs: number;
  readonly notices: readonly string[];
}

export function createRunActivities(engine: EngineDependencies) {
  const { store, platform, searchAttributes } = engine;
  return {
    /** Takes the run's id, or finds what was started under it. @throws `RunExists` when it was another job, `InvalidSpec` when its deadline has passed */
    async openRun({ run, job, resume, nowMs }: { run: string; job: Job; resume: boolean; nowMs: number }): Promise<RunOpening> {
      checkRunId(run);
      checkAllocation(job);
      exchangeOptions(engine, job); // refuses what is not there
      checkSearch(job);
      checkBatches(job.training, (await engine.readDataSet(job.data.train)).samples);
      const first = names.spec(run, 0);
      const mine = { formatVersion: 1, job, startedAtMs: nowMs, deadlineAtMs: deadlineOf(job, nowMs) } as const;
      if (mine.deadlineAtMs !== null && mine.deadlineAtMs <= nowMs && !resume)
        throw new SmltError(
          'InvalidSpec',
          `goal.deadline: ${job.goal.deadline} is before now (${new Date(nowMs).toISOString()}); expected a later instant, or a duration such as 10m`,
        );
      const original = decodeRecord(RunSpec, await store.decide(first, encodeRecord(mine)), first);
      if (!resume && canonicalJson(original.job) !== canonicalJson(job))
        throw new SmltError('RunExists', `run id ${run} was used for another job (${original.job.name}); expected a new id, or a resume`);
      const spec = resume ? await appendSpec(run, original, mine) : original;
      const record = await findRecord(store, RunRecord, names.record(run));
      const notices = searchAttributes
        ? []
        : [
            'Search attributes are not registered in this namespace, so lists in Temporal Web UI show no stage, step or spend; `smlt dev --register` adds them.',
          ];
      const { budgetUsd } = spec.job.goal;
      return {
        startedAtMs: original.startedAtMs,
        deadlineAtMs: spec.deadlineAtMs,
        budgetNanoUsd: budgetUsd === undefined ? null : nanoUsd(budgetUsd),
        ledger: record?.ledger ?? {},
        searchAttributes,
        functionTimeoutMs: platform.limits.timeoutMs,
        notices,
      };
    },

    /** Applies a change to a run's stored record; the first one is the whole record. Safe to repeat. */
    async writeRecord({ run, change }: { run: string; change: RecordChange }): Promise<void> {
      const name = names.record(run);
      const stored = await findRecord(store, RunRecord, name);
      const record = stored ? changeRecord(stored, change) : RunRecord.parse(change);
      await store.replace(name, encodeRecord(record));
    },

    /** A finished stage's result under the digest of its input: a resume does not run it again when nothing changed. */
    async recallStage({ run, stage, input }: { run: string; stage: string; input: unknown }): Promise<unknown> {
      return (await findRecord(store, z.unknown(), names.stageResult(run, stage, digestOf(input)))) ?? null;
    },
    async keepStage({ run, stage, input, result }: { run: string; stage: string; input: unknown; result: unknown }): Promise<void> {
      await store.decide(names.stageResult(run, stage, digestOf(input)), encodeRecord(result));
    },
  };

  async function appendSpec(run: string, original: RunSpec, mine: RunSpec): Promise<RunSpec> {
    let newest = original;
    for (let index = 1; ; index++) {
      // Given anew, a deadline starts anew; else the first one stands.
      const sameDeadline = newest.job.goal.deadline === mine.job.goal.deadline;
      const resumed = { ...mine, deadlineAtMs: sameDeadline ? newest.deadlineAtMs : mine.deadlineAtMs };
      const name = names.spec(run, index);
      const stored = decodeRecord(RunSpec, await store.decide(name, encodeRecord(resumed)), name);
      if (stored.startedAtMs === mine.startedAtMs) return stored;
      newest = stored;
    }
  }

  function checkAllocation({ allocation, training }: Job): void {
    const { minMemoryMib, maxMemoryMib } = platform.limits;
    if (allocation.memoryMib !== undefined && (allocation.memoryMib < minMemoryMib || allocation.memoryMib > maxMemoryMib))
      throw new SmltError(
        'InvalidSpec',
        `allocation.memoryMib: got ${allocation.memoryMib}, expected ${minMemoryMib} to ${maxMemoryMib} on this platform`,
      );
    const { minWorkers = 1 } = allocation;
    const most = Math.min(training.lanes, platform.limits.concurrency);
    if (minWorkers > most)
      throw new SmltError(
        'InvalidSpec',
        `allocation.minWorkers: got ${minWorkers}, expected at most ${most}: the job has ${training.lanes} lanes, and this account runs ${platform.limits.concurrency} functions at once`,
      );
  }
}

const digestOf = (input: unknown) => sha256Hex(encodeRecord(input)).slice(0, 32);
function deadlineOf({ goal }: Job, nowMs: number): number | null {
  if (goal.deadline === undefined) return null;
  return /^\d{4}-/.test(goal.deadline) ? Date.parse(goal.deadline) : nowMs + durationMs(goal.deadline);
}
