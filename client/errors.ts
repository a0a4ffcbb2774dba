import { ApplicationFailure, CancelledFailure, TemporalFailure } from '@temporalio/common';
import { isErrorCode, SmltError, type ErrorCode } from '../contracts/errors';

/** What a person did wrong, as opposed to what went wrong: exit code 2 of the CLI. */
const badInput: ReadonlySet<ErrorCode> = new Set(['InvalidSpec', 'UnsupportedOperator', 'InvalidModel', 'BadData', 'RunExists', 'RunMissing', 'InvalidName', 'NotDeployed']); // prettier-ignore
export const isBadInput = (error: unknown): boolean => error instanceof SmltError && badInput.has(error.code);

/** The first smlt error in a chain of Temporal's wrappers; the code crosses walls as the failure's type. */
export function fromTemporalFailure(failure: unknown): SmltError {
  let deepest: Error | undefined;
  for (let current = failure; current instanceof Error; current = current.cause) {
    if (current instanceof SmltError) return current;
    if (current instanceof ApplicationFailure && isErrorCode(current.type)) return new SmltError(current.type, current.message, { cause: failure });
    deepest = current;
  }
  const message = deepest instanceof TemporalFailure ? (deepest.failure?.message ?? deepest.message) : (deepest?.message ?? String(failure));
  return new SmltError('FunctionFailed', message, { cause: failure });
}

export function isCancelled(failure: unknown): boolean {
  for (let current = failure; current instanceof Error; current = current.cause) if (current instanceof CancelledFailure) return true;
  return false;
}
