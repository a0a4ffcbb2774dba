import {
  CancellationScope,
  CancelledFailure,
  ChildWorkflowCancellationType,
  getExternalWorkflowHandle,
  setHandler,
  startChild,
} from '@temporalio/workflow';
import { stopSignal, stopUpdate } from './messages';

/** A wish to stop, however it came: by update, from the parent, or as a cancellation. */
export interface StopRequest {
  requested: boolean;
  cancelled: boolean;
}

/** Listens for stops; whoever loops looks at `requested`, and ends with what it has. `onStop` passes the wish on. */
export function listenForStop(onStop: () => void = () => undefined): StopRequest {
  const stop: StopRequest = { requested: false, cancelled: false };
  const request = () => {
    stop.requested = true;
    onStop();
  };
  setHandler(stopUpdate, request);
  setHandler(stopSignal, request);
  CancellationScope.current().cancelRequested.catch(() => {
    stop.cancelled = true;
    request();
  });
  return stop;
}

export const tellToStop = (workflowId: string): void =>
  void getExternalWorkflowHandle(workflowId)
    .signal(stopSignal)
    .catch(() => undefined);

/** Runs a child to its end. One that starts while its parent is asked to stop was not there to hear of it, and is told then. */
export async function runChild<T>(stop: StopRequest, workflow: (input: unknown) => Promise<T>, workflowId: string, input: unknown): Promise<T> {
  const child = await startChild(workflow, {
    workflowId,
    cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
    args: [input],
  });
  if (stop.requested) tellToStop(workflowId);
  return (await child.result()) as T;
}

/** Runs to its own orderly end although the workflow is cancelled; then the cancellation takes effect. */
export async function endingInOrder<T>(stop: StopRequest, work: () => Promise<T>): Promise<T> {
  const result = await CancellationScope.nonCancellable(work);
  if (stop.cancelled) throw new CancelledFailure('cancelled after its newest complete step was kept');
  return result;
}
