import { ApplicationFailure } from '@temporalio/workflow';
import type { z } from 'zod';
import { isErrorCode, SmltError, withHelp, type ErrorCode } from '../contracts/errors';
import { parseWith } from '../contracts/job';
import type { Bill } from '../contracts/money';

/**
 * Fails the workflow for good, with the error's code as the failure's type. A plain error thrown in a workflow would
 * only fail its task, which Temporal repeats for ever.
 */
function refuse(error: unknown, bill?: Bill): ApplicationFailure {
  if (error instanceof SmltError) return refusal(error.code, error.message, bill);
  return refusal('FunctionFailed', error instanceof Error ? error.message : String(error), bill);
}

export function refusal(code: string, message: string, bill?: Bill): ApplicationFailure {
  const type: ErrorCode = isErrorCode(code) ? code : 'FunctionFailed';
  return ApplicationFailure.create({ type, nonRetryable: true, message: withHelp(type, message), details: bill ? [bill] : [] });
}

export function parseInput<S extends z.ZodType>(schema: S, raw: unknown, workflow: string): z.output<S> {
  try {
    return parseWith(schema, raw, `the input of workflow ${workflow}`);
  } catch (error) {
    throw refuse(error);
  }
}
