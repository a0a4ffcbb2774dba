import { ApplicationFailure } from '@temporalio/workflow';
import type { z } from 'zod';
import { isErrorCode, SmltError, type ErrorCode } from '../contracts/errors';
import { parseWith } from '../contracts/job';
import type { Bill } from '../contracts/money';

/**
 * Fails the workflow for good, with the error's code as the failure's type. A plain error thrown in a workflow would
 * only fail its task, which Temporal repeats for ever.
 */
export function refuse(error: unknown, bill?: Bill): ApplicationFailure {
  if (error instanceof SmltError) return refusal(error.code, error.message, error.help, bill);
  return refusal('FunctionFailed', error instanceof Error ? error.message : String(error), undefined, bill);
}

export function refusal(code: string, message: string, help?: string, bill?: Bill): ApplicationFailure {
  const type: ErrorCode = isErrorCode(code) ? code : 'FunctionFailed';
  const advice = help ?? new SmltError(type, message).help;
  return ApplicationFailure.create({ type, nonRetryable: true, message: `${message}\n${advice}`, details: bill ? [bill] : [] });
}

export function parseInput<S extends z.ZodType>(schema: S, raw: unknown, workflow: string): z.output<S> {
  try {
    return parseWith(schema, raw, `the input of workflow ${workflow}`);
  } catch (error) {
    throw refuse(error);
  }
}
