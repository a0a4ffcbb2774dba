import { ApplicationFailure, ChildWorkflowFailure } from '@temporalio/workflow';
import { isErrorCode, withoutHelp, type ErrorCode } from '../contracts/errors';
import { Bill, noBill } from '../contracts/money';

function rootOf(error: unknown): unknown {
  return error instanceof ChildWorkflowFailure || (error instanceof Error && error.cause !== undefined && !(error instanceof ApplicationFailure))
    ? rootOf(error.cause)
    : error;
}

/** What a failed stage had spent: its failure carries the bill, so that nothing is lost from the ledger. */
export function billOfFailure(error: unknown): Bill {
  const root = rootOf(error);
  const bill = root instanceof ApplicationFailure ? Bill.safeParse(root.details?.[0]) : undefined;
  return bill?.success ? bill.data : noBill;
}

export function codeOfFailure(error: unknown): ErrorCode {
  const root = rootOf(error);
  return root instanceof ApplicationFailure && isErrorCode(root.type) ? root.type : 'FunctionFailed';
}

export function reasonOfFailure(error: unknown): string {
  const root = rootOf(error);
  return root instanceof Error ? withoutHelp(codeOfFailure(error), root.message) : String(root);
}
