import { CancellationScope, type WorkflowInterceptors } from '@temporalio/workflow';

/**
 * What the test server's clock needs of the workflows, whose commands stay as they are otherwise:
 * - no heartbeat time-out: while the clock skips, no activity can say that it lives, and nobody dies there either;
 * - no detached second cleanup: it outlives its test, and a workflow without a worker stops the clock for all others;
 * - no end before its signals to others are acknowledged: the server never gives back the lock of one that is outstanding.
 */
export const interceptors = (): WorkflowInterceptors => {
  const signals = new Set<Promise<unknown>>();
  return {
    inbound: [
      {
        async execute(input, next) {
          try {
            return await next(input);
          } finally {
            await CancellationScope.nonCancellable(() => Promise.allSettled(signals));
          }
        },
      },
    ],
    outbound: [
      {
        scheduleActivity(input, next) {
          const { heartbeatTimeout: _unused, ...options } = input.options;
          return next({ ...input, options });
        },
        async startChildWorkflowExecution(input, next) {
          if (input.workflowType !== 'cleanup') return next(input);
          return [Promise.resolve('not run in virtual time'), Promise.resolve(0)];
        },
        signalWorkflow(input, next) {
          const sent = next(input);
          signals.add(sent);
          return sent;
        },
      },
    ],
  };
};
