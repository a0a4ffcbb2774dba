import type { Job } from '../contracts/job';
import { addBills } from '../contracts/money';
import { smallerIsBetter, type MetricName, type Metrics } from '../contracts/metrics';
import { EvaluateInput, type EvaluateResult } from '../contracts/pipeline';
import { evaluateWeights } from './evaluation';
import { parseInput } from './refusal';
import { openStage } from './stage';

/** Measures a committed round, and says which of the job's thresholds it misses: the gate before deploy. */
export async function evaluate(raw: unknown): Promise<EvaluateResult> {
  const input = parseInput(EvaluateInput, raw, 'evaluate');
  const { program, bill } = await openStage(input);
  const measured = await evaluateWeights(input.job, program, input.weights, input.split);
  const missed = missedGates(input.job, measured.metrics);
  return {
    outcome: missed.length === 0 ? 'completed' : 'gateMissed',
    reason: missed.length === 0 ? `measured on ${measured.samples} ${input.split} samples` : `missed: ${missed.join('; ')}`,
    metrics: measured.metrics,
    samples: measured.samples,
    missed,
    bill: addBills(bill, measured.bill),
  };
}

function missedGates(job: Job, metrics: Metrics): string[] {
  return Object.entries(job.evaluate?.require ?? {}).flatMap(([name, required]) => {
    const measured = metrics[name as MetricName];
    if (measured === undefined) return [`${name} ${required} required, but this model has no ${name}`];
    const met = smallerIsBetter(name) ? measured <= required : measured >= required;
    return met ? [] : [`${name} ${measured.toFixed(4)}, required ${smallerIsBetter(name) ? 'at most' : 'at least'} ${required}`];
  });
}
