import { Client, WorkflowExecutionAlreadyStartedError, type Connection } from '@temporalio/client';
import { z } from 'zod';
import { SmltError } from '../contracts/errors';
import { Job, parseWith, type JobInput } from '../contracts/job';
import { canonicalJson } from '../contracts/canonical-json';
import { checkRunId, names } from '../contracts/names';
import { TASK_QUEUE, type RunRecord } from '../contracts/pipeline';
import { StartedJob } from '../contracts/started-job';
import { usd } from '../contracts/units';
import type { ObjectStore } from '../storage';
import { checkJob } from './check-job';
import type { DevState } from './dev/dev-state';
import { answered } from './errors';
import { uploadModel } from './onnx-file';
import { RunHandle } from './run-handle';
import { runUrl } from './run-url';
import { listRuns, readJson, readRun } from './store-records';
import type { TemporalServer } from './temporal/given-server';

export interface StartOptions {
  /** Names the run; left out: `<job name>-<yyyymmdd-hhmmss>`. */
  readonly runId?: string;
}

export interface ResumeOptions {
  /** The corrected job; left out: the newest one of the run. */
  readonly job?: JobInput;
}

interface Parts {
  readonly connection: Connection;
  readonly server: TemporalServer;
  readonly store: ObjectStore;
  readonly uiUrl: string | undefined;
  readonly dev: DevState | undefined;
  readonly notices: readonly string[];
  readonly onClose: () => Promise<void>;
}

const Spec = z.object({ job: Job, deadlineAtMs: z.number().nullable().default(null) });

/** A connection to where runs live: a Temporal server with an smlt worker, and the object store. Made by `connect`. */
export class Smlt {
  readonly client: Client;
  readonly store: ObjectStore;
  /** Temporal Web UI, when smlt runs it. */
  readonly uiUrl: string | undefined;
  /** smlt's own dev server, when it is the one in use. */
  readonly dev: DevState | undefined;
  /** What `connect` found worth saying. */
  readonly notices: readonly string[];

  constructor(private readonly parts: Parts) {
    this.client = new Client({ connection: parts.connection, namespace: parts.server.namespace });
    this.store = parts.store;
    this.uiUrl = parts.uiUrl;
    this.dev = parts.dev;
    this.notices = parts.notices;
  }

  /**
   * Checks the job, then starts it. The same job under the same id is started once: a second start gives the same run.
   * @throws {SmltError} `InvalidSpec`, `BadData`, `InvalidModel`, `UnsupportedOperator`, `InvalidName` or `RunExists`, before anything is spent
   */
  async start(input: JobInput, options: StartOptions = {}): Promise<RunHandle> {
    const job = parseWith(StartedJob, input, 'the job');
    checkRunId(options.runId ?? defaultRunId(job.name));
    await checkJob(job);
    return (await this.startChecked(job, options)).handle;
  }

  /** As `start`, for a job that `checkJob` has passed already. Tells as well whether it began only now. */
  async startChecked(checked: Job, options: StartOptions = {}): Promise<{ handle: RunHandle; isNew: boolean }> {
    const runId = checkRunId(options.runId ?? defaultRunId(checked.name));
    const job = await uploadModel(checked, this.store);
    const used = await readJson(this.store, Spec, names.spec(runId, 0));
    if (used && canonicalJson(used.job) !== canonicalJson(job))
      throw new SmltError('RunExists', `run id ${runId} was used for another job (${used.job.name}); expected a new id, or \`smlt resume ${runId}\``);
    const handle = this.handle(runId);
    try {
      await this.startPipeline(runId, job, false);
      return { handle, isNew: true };
    } catch (error) {
      // The same job under the same id: its run, running or done, is the one that was asked for.
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      if (!used) await this.refuseOtherJob(runId, job);
      return { handle, isNew: false };
    }
  }

  /** Goes on with a failed, stopped or cancelled run from what it has. @throws {SmltError} `RunMissing`, `AlreadyRunning` */
  async resume(runId: string, options: ResumeOptions = {}): Promise<RunHandle> {
    const newest = await this.newestJob(checkRunId(runId));
    const given = options.job === undefined ? newest : parseWith(Job, options.job, 'the job');
    const record = await readRun(this.store, runId);
    if (record?.status === 'completed' && sameWork(given, newest))
      throw new SmltError('RunEnded', `run ${runId} is completed: nothing is left to do.`);
    await checkJob({ ...given, goal: { ...given.goal, ...(given.goal.deadline === newest.goal.deadline && { deadline: undefined }) } });
    const job = await uploadModel(given, this.store);
    try {
      await this.startPipeline(runId, job, true);
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      throw new SmltError('AlreadyRunning', `run ${runId} is still running; stop it first, or watch it with \`smlt status ${runId}\`.`, {
        cause: error,
      });
    }
    return this.handle(runId);
  }

  handle(runId: string): RunHandle {
    const uiUrl = this.uiUrl && runUrl(this.uiUrl, this.parts.server.namespace, runId);
    return new RunHandle(checkRunId(runId), this.client, this.store, uiUrl, (options) => this.resume(runId, options));
  }

  /** All runs that the store knows, newest first. */
  list(): Promise<RunRecord[]> {
    return listRuns(this.store);
  }

  async close(): Promise<void> {
    await this.parts.connection.close();
    await this.parts.onClose();
  }

  private async startPipeline(runId: string, job: Job, resume: boolean): Promise<void> {
    await answered(
      this.client.workflow.start('pipeline', {
        taskQueue: TASK_QUEUE,
        workflowId: runId,
        args: [{ job, resume }],
        workflowIdReusePolicy: resume ? 'ALLOW_DUPLICATE' : 'REJECT_DUPLICATE',
        workflowIdConflictPolicy: 'FAIL',
        memo: { job: job.name, store: this.store.uri },
        staticSummary: `smlt: ${job.name}`,
      }),
    );
  }

  /** The record of the first start may not be written yet; then its input in history says what it was. */
  private async refuseOtherJob(runId: string, job: Job): Promise<void> {
    const { events } = await this.client.workflow.getHandle(runId).fetchHistory();
    const payload = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads?.[0]?.data;
    const first = payload && z.object({ job: Job }).safeParse(JSON.parse(Buffer.from(payload).toString()));
    if (first?.success && canonicalJson(first.data.job) === canonicalJson(job)) return;
    throw new SmltError('RunExists', `run id ${runId} is in use for another job; expected a new id`);
  }

  /** The job of a run as it was last started or resumed, with the goal that it has now. @throws {SmltError} `RunMissing` */
  async newestJob(runId: string): Promise<Job> {
    const specs = await this.store.list(`runs/${runId}/specs/`);
    const newest = Math.max(-1, ...specs.map((name) => Number(name.slice(name.lastIndexOf('/') + 1))));
    const spec = newest < 0 ? undefined : await readJson(this.store, Spec, names.spec(runId, newest));
    if (!spec) throw new SmltError('RunMissing', `no run ${runId} in ${this.store.uri}.`);
    const record = await readRun(this.store, runId);
    return record ? withGoalOf(record, spec) : spec.job;
  }
}

/** What `setGoal` has changed since the run was started stays changed. */
function withGoalOf({ budgetNanoUsd, deadlineAtMs, minimize }: RunRecord, { job, deadlineAtMs: begunWithMs }: z.output<typeof Spec>): Job {
  const { budgetUsd: _budget, deadline, ...goal } = job.goal;
  const newDeadline = deadlineAtMs === null ? undefined : new Date(deadlineAtMs).toISOString();
  return {
    ...job,
    goal: {
      ...goal,
      ...(minimize !== null && { minimize }),
      ...(budgetNanoUsd !== null && { budgetUsd: usd(budgetNanoUsd) }),
      deadline: deadlineAtMs === begunWithMs ? deadline : newDeadline,
    },
  };
}

function sameWork({ goal: _a, allocation: _b, ...a }: Job, { goal: _c, allocation: _d, ...b }: Job): boolean {
  return canonicalJson(a) === canonicalJson(b);
}

/** `<job name>-<yyyymmdd-hhmmss>`, local time: what people read in a list. */
function defaultRunId(jobName: string, now = new Date()): string {
  const two = (n: number) => String(n).padStart(2, '0');
  const day = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  return `${jobName}-${day}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}
