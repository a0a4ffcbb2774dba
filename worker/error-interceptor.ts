import { ApplicationFailure } from '@temporalio/common';
import type { ActivityInboundCallsInterceptor } from '@temporalio/worker';
import { SmltError } from '../contracts/errors';

/** Turns smlt's errors into Temporal failures at the one place where activities end: type = code, retried by the table. */
export const errorInterceptor: ActivityInboundCallsInterceptor = {
  async execute(input, next) {
    try {
      return await next(input);
    } catch (error) {
      if (!(error instanceof SmltError)) throw error;
      throw ApplicationFailure.create({
        type: error.code,
        message: error.message,
        nonRetryable: !error.retryable,
        details: [{ help: error.help }],
      });
    }
  },
};
