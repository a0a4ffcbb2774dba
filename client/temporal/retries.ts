import { defaultGrpcRetryOptions, makeGrpcRetryInterceptor, type ConnectionOptions } from '@temporalio/client';

type Interceptor = NonNullable<ConnectionOptions['interceptors']>[number];
type Call = ReturnType<Parameters<Interceptor>[1]>;

const retry = makeGrpcRetryInterceptor(defaultGrpcRetryOptions());
const CANCELLED = 1; // grpc.status

/** gRPC's answer to a call whose connection is closed already. */
const cancelled = (reason: unknown): Call => ({
  start: (metadata, listener) => listener?.onReceiveStatus?.({ code: CANCELLED, details: (reason as Error).message, metadata }),
  sendMessage: () => undefined,
  sendMessageWithContext: () => undefined,
  startRead: () => undefined,
  halfClose: () => undefined,
  cancelWithStatus: () => undefined,
  getPeer: () => '',
  getAuthContext: () => null,
});

/**
 * Temporal's own retries, for connections that are closed under a call: there a retry throws out of its timer, where nobody
 * can catch it, and ends the process. Here that call fails as cancelled.
 */
export const retryWhileOpen: Interceptor = (options, nextCall) => {
  let isRetry = false;
  return retry(options, (next) => {
    try {
      return nextCall(next);
    } catch (error) {
      if (!isRetry) throw error;
      return cancelled(error);
    } finally {
      isRetry = true;
    }
  });
};
