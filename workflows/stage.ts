import { getExternalWorkflowHandle, setHandler, workflowInfo } from '@temporalio/workflow';
import type { PrepareAnswer } from '../contracts/functions';
import type { Job } from '../contracts/job';
import { noBill, type Bill, type Grant } from '../contracts/money';
import type { Carried } from '../contracts/pipeline';
import { openRun } from './activities';
import { grantSignal, progressSignal, type Progress } from './messages';
import { ensureProgram } from './programs';

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
}

export async function openStage(input: StageInput): Promise<Stage> {
  const { workflowId, parent } = workflowInfo();
  const run = input.run ?? workflowId;
  let grant = input.grant;
  setHandler(grantSignal, (renewed) => {
    grant = renewed;
  });
  if (!parent) {
    const opening = await openRun({ run, job: input.job, resume: false, nowMs: workflowInfo().startTime.getTime() });
    grant = {
      ...grant,
      ...(opening.budgetNanoUsd === null ? {} : { budgetNanoUsd: opening.budgetNanoUsd }),
      ...(opening.deadlineAtMs === null ? {} : { deadlineAtMs: opening.deadlineAtMs }),
    };
  }
  const prepared = input.program ? { program: input.program, bill: noBill } : await ensureProgram(input.job);
  return { run, ...prepared, grant: () => grant };
}

/** Tells the parent how far a stage is; a stage without a parent has nobody to tell. */
export function reportProgress(progress: Progress): void {
  const { parent } = workflowInfo();
  // A parent that has just ended no longer listens, and need not.
  if (parent)
    void getExternalWorkflowHandle(parent.workflowId)
      .signal(progressSignal, progress)
      .catch(() => undefined);
}

export function startCarrying(bill: Bill, observations: readonly unknown[]): Carried {
  return { bill, observations: [...observations], journal: [], forbidden: {}, switches: 0, startedAtMs: Date.now() };
}
