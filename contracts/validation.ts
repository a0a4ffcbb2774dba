import { z } from 'zod';
import { metricNames, valueFault } from './metrics';

/** What is measured on data.validation, while training or to compare trials. */
export const ValidationMetric = z.enum(
  metricNames.map((name) => `validation.${name}` as const),
  `expected validation. and one of ${metricNames.join(', ')}`,
);
export type ValidationMetric = z.output<typeof ValidationMetric>;

/** Training ends when the metric is at least this good; its steps or epochs are the most it may take. */
export const Until = z.strictObject({ metric: ValidationMetric, value: z.number('expected a number') }).superRefine(({ metric, value }, context) => {
  const message = valueFault(metric, value);
  if (message !== undefined) context.addIssue({ code: 'custom', path: ['value'], message });
});
export type Until = z.output<typeof Until>;

/** Training ends when the metric has not improved by more than minDelta for `patience` validations in a row; the best weights are kept. */
export const EarlyStopping = z.strictObject({
  metric: ValidationMetric.default('validation.loss'),
  patience: z.int('expected a whole number').min(1, 'expected at least 1').default(3),
  minDelta: z.number().min(0, 'expected 0 or more').default(0),
});
export type EarlyStopping = z.output<typeof EarlyStopping>;

/** One validation: what the weights of a committed round came to. */
export const ValidationPoint = z.object({
  step: z.int().min(0),
  track: z.string(),
  round: z.int().min(0),
  values: z.partialRecord(ValidationMetric, z.number()),
  /** Whether its checkpoint is kept while it is the best: early stopping may go back to it. */
  kept: z.boolean(),
});
export type ValidationPoint = z.output<typeof ValidationPoint>;

/** A run's validations, in the object store, by rising step: profiling begins what training goes on with. */
export const ValidationCurve = z.object({ formatVersion: z.literal(1), points: z.array(ValidationPoint) });
export type ValidationCurve = z.output<typeof ValidationCurve>;
