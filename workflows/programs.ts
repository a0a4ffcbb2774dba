import { sleep } from '@temporalio/workflow';
import type { PrepareAnswer } from '../contracts/functions';
import type { Job } from '../contracts/job';
import { addBills, noBill, type Bill } from '../contracts/money';
import { prepareProgram } from './activities';
import { refusal } from './refusal';

const MAX_CRASHES = 3;

/** Makes the program that a job trains, or finds it; what is wrong with model or data is said here, before anything else is spent. */
export async function ensureProgram(job: Job): Promise<{ program: PrepareAnswer; bill: Bill }> {
  let bill = noBill;
  for (let crashes = 0; ;) {
    const outcome = await prepareProgram({ job });
    bill = addBills(bill, outcome.bill);
    switch (outcome.kind) {
      case 'answered':
        return { program: outcome.answer, bill };
      case 'failed':
        throw refusal(outcome.error.code, outcome.error.message, bill);
      case 'outOfMemory':
        throw refusal('FunctionFailed', `preparing the model ran out of ${outcome.memoryMib} MiB`, bill);
      case 'timedOut':
        throw refusal('FunctionFailed', 'preparing the model did not end within the function time limit', bill);
      case 'crashed':
        if (++crashes >= MAX_CRASHES) throw refusal('FunctionFailed', `preparing the model crashed ${crashes} times: ${outcome.message}`, bill);
        await sleep(100 * 2 ** crashes);
    }
  }
}
