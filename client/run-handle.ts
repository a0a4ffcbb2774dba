import {
  WorkflowFailedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  type Client,
  type WorkflowExecutionStatusName,
  type WorkflowHandle,
} from '@temporalio/client';
import { setTimeout as sleep } from 'node:timers/promises';
import { SmltError } from '../contracts/errors';
import { parseWith, type JobInput } from '../contracts/job';
import { GoalChange, RunRecord } from '../contracts/pipeline';
import type { ObjectStore } from '../storage';
import { setGoalUpdate, statusQuery, stopUpdate } from '../workflows/messages';
import { answered, fromTemporalFailure, isCancelled } from './errors';
import { readRun } from './store-records';

const QUERY_LIMIT_MS = 3_000;
/** A server that is being restarted is back by then. */
const SILENCE_LIMIT_MS = 60_000;
const CLOSED: ReadonlySet<WorkflowExecutionStatusName> = new Set(['COMPLETED', 'FAILED', 'CANCELLED', 'TERMINATED', 'TIMED_OUT']);

/** One run, wherever it is in its life. */
export class RunHandle {
  private readonly workflow: WorkflowHandle;

  constructor(
    readonly runId: string,
    client: Client,
    private readonly store: ObjectStore,
    /** The run in Temporal Web UI, when smlt knows where that is. */
    readonly uiUrl: string | undefined,
    private readonly resumeRun: (options: { job?: JobInput }) => Promise<RunHandle>,
  ) {
    this.workflow = client.workflow.getHandle(runId);
  }

  /** The newest state: from the workflow, else from the record in the store. @throws {SmltError} `RunMissing` */
  async status(): Promise<RunRecord> {
    const found = await this.look();
    if (found) return found.record;
    throw new SmltError('RunMissing', `no run ${this.runId} in ${this.store.uri}, nor on the Temporal server.`);
  }

  /** Yields the state whenever it changes, and ends when the run does, with its last state. */
  async *follow({ everyMs = 300 }: { everyMs?: number } = {}): AsyncGenerator<RunRecord, void> {
    let last = '';
    let answeredAtMs = Date.now();
    for (;;) {
      const closed = await this.isClosed().catch((error: unknown) => {
        const silent = error instanceof SmltError && error.code === 'TemporalUnavailable';
        if (!silent || Date.now() - answeredAtMs > SILENCE_LIMIT_MS) throw error;
        return undefined;
      });
      if (closed !== undefined) answeredAtMs = Date.now();
      const found = await this.look();
      const text = JSON.stringify(found?.record);
      if (found && text !== last) yield found.record;
      last = text;
      if (closed) return;
      await sleep(everyMs);
    }
  }

  /** Changes what the run aims for, while it runs. @throws {SmltError} `InvalidSpec`, `RunMissing`, `RunEnded` */
  async setGoal(change: GoalChange): Promise<void> {
    await this.update(() => this.workflow.executeUpdate(setGoalUpdate, { args: [parseWith(GoalChange, change, 'the goal')] }));
  }

  /** Ends the run at its newest complete step; what it has is kept. Answers once the wish is recorded. */
  async stop(): Promise<void> {
    await this.update(() => this.workflow.executeUpdate(stopUpdate));
  }

  /** Goes on with the run after a failure, a stop or a fixed job. */
  resume(options: { job?: JobInput } = {}): Promise<RunHandle> {
    return this.resumeRun(options);
  }

  /** Waits for the end. A limit that was reached is a result, not an error. @throws {SmltError} with the code of what failed */
  async result(): Promise<RunRecord> {
    try {
      return await this.whole(RunRecord.parse(await answered(this.workflow.result())));
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) {
        const record = await readRun(this.store, this.runId);
        if (record && record.status !== 'running') return record;
        throw new SmltError('RunMissing', `no run ${this.runId} on the Temporal server.`, { cause: error });
      }
      if (!(error instanceof WorkflowFailedError)) throw error;
      if (isCancelled(error)) return { ...(await this.status()), status: 'stopped' };
      throw fromTemporalFailure(error.cause);
    }
  }

  /** With all of its decisions and validations: a workflow carries only the newest, and the store keeps the rest. */
  private async whole(record: RunRecord): Promise<RunRecord> {
    const stored = await readRun(this.store, this.runId).catch(() => undefined);
    return stored?.status === record.status ? { ...record, journal: stored.journal, validations: stored.validations } : record;
  }

  private async look(): Promise<{ record: RunRecord } | undefined> {
    const queried = await this.query();
    if (queried) return { record: queried };
    const stored = await readRun(this.store, this.runId);
    if (!stored) return undefined;
    if (stored.status !== 'running') return { record: stored };
    // The record of a run that was ended from outside still says running.
    const ended = await this.endedAs();
    return {
      record: ended ? { ...stored, status: ended, reason: `the workflow was ${ended === 'stopped' ? 'cancelled' : 'ended'} from outside` } : stored,
    };
  }

  private async query(): Promise<RunRecord | undefined> {
    const answer = this.workflow.query(statusQuery).then((record) => RunRecord.safeParse(record).data, () => undefined); // prettier-ignore
    const timer = new AbortController();
    try {
      return await Promise.race([answer, sleep(QUERY_LIMIT_MS, undefined, { signal: timer.signal })]);
    } finally {
      timer.abort();
    }
  }

  private async isClosed(): Promise<boolean> {
    try {
      return CLOSED.has((await answered(this.workflow.describe())).status.name);
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return true;
      throw error;
    }
  }

  private async endedAs(): Promise<'stopped' | 'failed' | undefined> {
    const status = await this.workflow.describe().then(({ status }) => status.name, () => undefined); // prettier-ignore
    return status === 'CANCELLED' ? 'stopped' : status === 'FAILED' || status === 'TERMINATED' || status === 'TIMED_OUT' ? 'failed' : undefined;
  }

  private async update(send: () => Promise<void>): Promise<void> {
    try {
      await answered(send());
    } catch (error) {
      if (error instanceof WorkflowUpdateFailedError) {
        const refused = fromTemporalFailure(error.cause);
        throw new SmltError(refused.code === 'FunctionFailed' ? 'InvalidSpec' : refused.code, refused.message, { cause: error });
      }
      if (!(error instanceof WorkflowNotFoundError)) throw error;
      const record = await readRun(this.store, this.runId);
      throw record
        ? new SmltError('RunEnded', `run ${this.runId} has ended already (${record.status}).`, { cause: error })
        : new SmltError('RunMissing', `no run ${this.runId}.`, { cause: error });
    }
  }
}
