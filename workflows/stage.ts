import { getExternalWorkflowHandle, setHandler, workflowInfo, type SignalDefinition } from '@temporalio/workflow';
import type { PrepareAnswer } from '../contracts/functions';
import type { Job } from '../contracts/job';
import { noBill, type Bill, type Grant } from '../contracts/money';
import type { Carried, Trial } from '../contracts/pipeline';
import type { RunOpening } from '../activities/runs';
import { openRun } from './activities';
import { cleanUp } from './cleanup';
import { grantSignal, progressSignal, trialSignal, type Progress } from './messages';
import { ensureProgram } from './programs';
import { showOpening, showStage } from './visibility';

interface StageInput {
  readonly job: Job;
  readonly run?: string | undefined;
  readonly program?: PrepareAnswer | undefined;
  readonly grant: Grant;
}
/** What a stage knows before it works: from its parent, or found out by itself when it was started alone. */
export interface Stage {
  readonly run: string;
  readonly program: PrepareAnswer;
  readonly bill: Bill;
  readonly grant: () => Grant;
  /** Tells whoever is interested how far the stage is: its parent, or, without one, Temporal Web UI. */
  readonly reportProgress: (progress: Progress) => void;
  readonly tellTrial: (trial: Trial) => void;
  /** Ends the work on a run: a stage that was started alone cleans up after itself. */
  readonly close: () => Promise<void>;
}

export async function openStage(input: StageInput): Promise<Stage> {
  const { workflowId, parent } = workflowInfo();
  const run = input.run ?? workflowId;
  let grant = input.grant;
  setHandler(grantSignal, (renewed) => {
    grant = renewed;
  });
  let alone: RunOpening | undefined;
  if (!parent) {
    alone = await openRun({ run, job: input.job, resume: false, nowMs: workflowInfo().startTime.getTime() });
    showOpening(workflowInfo().workflowType, input.job.name, alone);
    grant = {
      ...grant,
      ...(alone.budgetNanoUsd === null ? {} : { budgetNanoUsd: alone.budgetNanoUsd }),
      ...(alone.deadlineAtMs === null ? {} : { deadlineAtMs: alone.deadlineAtMs }),
    };
  }
  const prepared = input.program ? { program: input.program, bill: noBill } : await ensureProgram(input.job);
  return {
    run,
    ...prepared,
    grant: () => grant,
    reportProgress: (progress) => (alone ? showStage(input.job.name, alone, progress) : tellParent(progress, progressSignal)),
    tellTrial: (trial) => (alone ? undefined : tellParent(trial, trialSignal)),
    close: async () => (alone ? cleanUp(run, alone.functionTimeoutMs) : undefined),
  };
}

function tellParent<T>(news: T, signal: SignalDefinition<[T]>): void {
  const { parent } = workflowInfo();
  // A parent that has just ended no longer listens, and need not.
  if (parent)
    void getExternalWorkflowHandle(parent.workflowId)
      .signal(signal, news)
      .catch(() => undefined);
}

export function startCarrying(bill: Bill, observations: readonly unknown[]): Carried {
  return { bill, adopted: 0, observations: [...observations], journal: [], forbidden: {}, switches: 0, startedAtMs: Date.now() };
}
