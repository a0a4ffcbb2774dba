import { z } from 'zod';

/** From this step on the batch has another size. */
export const BatchChange = z.strictObject({
  fromStep: z.int('expected a whole number').min(1, 'expected at least 1; the first size is batchSize'),
  batchSize: z.int('expected a whole number').min(1, 'expected at least 1'),
});
export const BatchSchedule = z
  .array(BatchChange)
  .min(1, 'expected at least one change; leave it out for none')
  .refine((changes) => changes.every(({ fromStep }, i) => i === 0 || fromStep > changes[i - 1]!.fromStep), 'expected rising steps');

/** What the size of every step's batch follows from. */
export interface Batches {
  readonly batchSize: number;
  readonly batchSchedule?: z.output<typeof BatchSchedule> | undefined;
}
export interface BatchPhase {
  readonly batchSize: number;
  readonly firstStep: number;
  /** Infinity for the last phase. */
  readonly endStep: number;
}

/** The stretches of steps of one batch size. */
export function batchPhases({ batchSize, batchSchedule = [] }: Batches): BatchPhase[] {
  const starts = [{ fromStep: 0, batchSize }, ...batchSchedule];
  return starts.map((start, i) => ({ batchSize: start.batchSize, firstStep: start.fromStep, endStep: starts[i + 1]?.fromStep ?? Infinity }));
}

export const phaseAt = (batches: Batches, step: number): BatchPhase => batchPhases(batches).find(({ endStep }) => step < endStep)!;

/** Of the steps [step, endStep) those whose batches have another size than the first one's, in order. */
export const laterPhases = (batches: Batches, step: number, endStep: number): { batchSize: number; steps: number }[] =>
  batchPhases(batches)
    .filter(({ firstStep }) => firstStep > step && firstStep < endStep)
    .map((phase) => ({ batchSize: phase.batchSize, steps: Math.min(phase.endStep, endStep) - phase.firstStep }));

/** Steps until so many samples have been seen, the last one of which may go beyond. */
export function stepsForSamples(batches: Batches, samples: number): number {
  let seen = 0;
  for (const { batchSize, firstStep, endStep } of batchPhases(batches)) {
    const steps = Math.ceil((samples - seen) / batchSize);
    if (steps <= endStep - firstStep) return Math.max(1, firstStep + steps);
    seen += (endStep - firstStep) * batchSize;
  }
  throw new Error('the last phase has no end');
}

/** How many steps a training is, from its epochs where it does not say. @param samples  of the training data */
export const totalStepsOf = (
  training: Batches & { readonly steps?: number | undefined; readonly epochs?: number | undefined },
  samples: number,
): number => training.steps ?? stepsForSamples(training, (training.epochs ?? 1) * samples);
