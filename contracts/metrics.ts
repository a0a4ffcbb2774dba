import { z } from 'zod';

/** What evaluation can measure; which of them a model has follows from its loss and its data. */
export const metricNames = [
  'loss',
  'accuracy',
  'top-3',
  'top-5',
  'top-10',
  'precision',
  'recall',
  'f1',
  'precision-macro',
  'recall-macro',
  'f1-macro',
  'precision-micro',
  'recall-micro',
  'f1-micro',
  'roc-auc',
  'pr-auc',
  'perplexity',
  'rmse',
  'mae',
  'r2',
] as const;
export const MetricName = z.enum(metricNames, `expected one of ${metricNames.join(', ')}`);
export type MetricName = z.output<typeof MetricName>;

const smaller: ReadonlySet<string> = new Set<MetricName>(['loss', 'perplexity', 'rmse', 'mae']);
/** True for losses and errors. @param metric  a name, or one with its split before it, such as `validation.loss` */
export const smallerIsBetter = (metric: string): boolean => smaller.has(metric.replace(/^.*\./, ''));

const optional = Object.fromEntries(metricNames.map((name) => [name, z.number().optional()])) as Record<MetricName, z.ZodOptional<z.ZodNumber>>;
export const Metrics = z.object({
  ...optional,
  loss: z.number(),
  /** Row = label, column = prediction. */
  confusion: z.array(z.array(z.int())).optional(),
});
export type Metrics = z.output<typeof Metrics>;
