import { isGrpcServiceError, ServiceError } from '@temporalio/client';
import { ApplicationFailure, CancelledFailure, TemporalFailure } from '@temporalio/common';
import { isErrorCode, SmltError, withoutHelp } from '../contracts/errors';

/** The first smlt error in a chain of Temporal's wrappers; the code crosses walls as the failure's type. */
export function fromTemporalFailure(failure: unknown): SmltError {
  let deepest: Error | undefined;
  for (let current = failure; current instanceof Error; current = current.cause) {
    if (current instanceof SmltError) return current;
    if (current instanceof ApplicationFailure && isErrorCode(current.type))
      return new SmltError(current.type, withoutHelp(current.type, current.message), { cause: failure });
    deepest = current;
  }
  const message = deepest instanceof TemporalFailure ? (deepest.failure?.message ?? deepest.message) : (deepest?.message ?? String(failure));
  return new SmltError('FunctionFailed', message, { cause: failure });
}

export function isCancelled(failure: unknown): boolean {
  for (let current = failure; current instanceof Error; current = current.cause) if (current instanceof CancelledFailure) return true;
  return false;
}

// Source: gRPC status codes.
const DEADLINE_EXCEEDED = 4;
const UNAVAILABLE = 14;

/** Whether the server did not answer, as opposed to answering with an error. */
function isUnreachable(error: unknown): boolean {
  const cause = error instanceof ServiceError ? error.cause : error;
  return isGrpcServiceError(cause) && (cause.code === UNAVAILABLE || cause.code === DEADLINE_EXCEEDED);
}

/** Gives a silent server the words for it; everything else passes as it is. */
export async function answered<T>(ask: Promise<T>): Promise<T> {
  try {
    return await ask;
  } catch (error) {
    if (!isUnreachable(error)) throw error;
    throw new SmltError('TemporalUnavailable', 'the Temporal server does not answer any more. Runs are kept, and go on when it is back: start it with `smlt dev`.', { cause: error }); // prettier-ignore
  }
}
