import { ParentClosePolicy, sleep, startChild, workflowInfo } from '@temporalio/workflow';
import { CleanupInput } from '../contracts/pipeline';
import { cleanRun } from './activities';
import { parseInput } from './refusal';

/** Deletes a second time what a run left, once every instance that it has invoked must have ended. Its run has ended long before. */
export async function cleanup(raw: unknown): Promise<number> {
  const { run, afterMs } = parseInput(CleanupInput, raw, 'cleanup');
  const endedAtMs = workflowInfo().startTime.getTime();
  await sleep(afterMs);
  return cleanRun({ run, endedAtMs });
}

/** Cleans up after a run that ends now, and leaves the second cleanup to a workflow of its own, detached from this one. */
export async function cleanUp(run: string, functionTimeoutMs: number): Promise<void> {
  // A store that is away now must not turn a finished run into a failed one: the second cleanup takes what this one could not.
  await cleanRun({ run, endedAtMs: Date.now() }).catch(() => undefined);
  await startChild(cleanup, {
    // Each start or resume of a run has its own.
    workflowId: `${run}/cleanup/${workflowInfo().runId.slice(-8)}`,
    parentClosePolicy: ParentClosePolicy.ABANDON,
    args: [{ run, afterMs: functionTimeoutMs }],
  });
}
