import { sleep } from '@temporalio/workflow';
import type { PrepareAnswer, WeightsReference } from '../contracts/functions';
import type { Job } from '../contracts/job';
import { addBills, noBill, type Bill } from '../contracts/money';
import type { Metrics } from '../contracts/metrics';
import { countSamples, evaluatePart, mergeEvaluation } from './activities';
import { refusal } from './refusal';

export type Split = 'train' | 'validation' | 'test';
const SAMPLES_A_FUNCTION = 2_000;
const MAX_PARTS = 16;
const MAX_ATTEMPTS = 4;

/** The split that judges a model: the test data where there is some. */
export const judgingSplit = ({ data }: Job): Split => (data.test !== undefined ? 'test' : data.validation !== undefined ? 'validation' : 'train');

/** Measures a committed round on a split, with as many functions as there is data for; their sums merge exactly. */
export async function evaluateWeights(
  job: Job,
  { programDigest, python }: Pick<PrepareAnswer, 'programDigest' | 'python'>,
  weights: WeightsReference,
  split: Split,
): Promise<{ metrics: Metrics; samples: number; bill: Bill }> {
  const dataUri = job.data[split];
  if (dataUri === undefined) throw refusal('InvalidSpec', `data.${split} is missing, and evaluating needs it; add the data set's path to the job`);
  const samples = await countSamples({ dataUri });
  const parts = Math.min(MAX_PARTS, Math.ceil(samples / SAMPLES_A_FUNCTION));
  const border = (part: number) => Math.round((samples * part) / parts);
  const bills = await Promise.all(
    Array.from({ length: parts }, (_, part) =>
      measure({ ...weights, programDigest, ...(python && { python }), dataUri, split, part, start: border(part), end: border(part + 1) }),
    ),
  );
  const { metrics } = await mergeEvaluation({ ...weights, split, parts });
  return { metrics, samples, bill: bills.reduce(addBills, noBill) };
}

async function measure(part: Parameters<typeof evaluatePart>[0]): Promise<Bill> {
  let bill = noBill;
  for (let attempt = 1; ; attempt++) {
    const outcome = await evaluatePart(part);
    bill = addBills(bill, outcome.bill);
    if (outcome.kind === 'done') return bill;
    if (outcome.kind === 'failed') throw refusal(outcome.error.code, outcome.error.message, bill);
    if (attempt >= MAX_ATTEMPTS) throw refusal('FunctionFailed', `the evaluate function crashed ${attempt} times: ${outcome.reason}`, bill);
    await sleep(100 * 2 ** attempt);
  }
}
