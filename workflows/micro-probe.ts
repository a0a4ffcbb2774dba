import type { NextQuestion } from '../activities/scheduling-question';
import { addBills, noBill, type Bill } from '../contracts/money';
import { keepMicroProbe, planMicroProbe, probeGradients } from './activities';

/** Times gradients on single functions before a run's first round, where that costs little beside the work. Later decisions find what it came to. */
export async function microProbe(question: NextQuestion, programDigest: string): Promise<Bill> {
  const { probes, inTurn } = await planMicroProbe(question);
  if (probes.length === 0) return noBill;
  const measured: Awaited<ReturnType<typeof probeGradients>>[] = [];
  if (inTurn) for (const probe of probes) measured.push(await probeGradients(probe));
  else measured.push(...(await Promise.all(probes.map((probe) => probeGradients(probe)))));
  const bill = measured.map((one) => one.bill).reduce(addBills, noBill);
  await keepMicroProbe({ run: question.run, programDigest, samples: measured.flatMap(({ samples }) => samples), bill });
  return bill;
}
