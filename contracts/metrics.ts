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

const unbounded: ReadonlySet<string> = new Set<MetricName>(['loss', 'perplexity', 'rmse', 'mae', 'r2']);
/** What is wrong with a value asked of a metric: most are shares, which people also write in per cent. */
export function valueFault(metric: string, value: number): string | undefined {
  if (unbounded.has(metric.replace(/^.*\./, '')) || (value >= 0 && value <= 1)) return undefined;
  return `expected a share from 0 to 1${value > 1 && value <= 100 ? `: ${value / 100} is ${value} %` : ''}`;
}

/** The least that is asked of each metric before a model is deployed; of losses and errors the most. */
export const Requirements = z.partialRecord(MetricName, z.number()).superRefine((required, context) => {
  for (const [metric, value] of Object.entries(required)) {
    const message = valueFault(metric, value);
    if (message !== undefined) context.addIssue({ code: 'custom', path: [metric], message });
  }
});

const optional = Object.fromEntries(metricNames.map((name) => [name, z.number().optional()])) as Record<MetricName, z.ZodOptional<z.ZodNumber>>;
export const Metrics = z.object({
  ...optional,
  loss: z.number(),
  /** Row = label, column = prediction. */
  confusion: z.array(z.array(z.int())).optional(),
});
export type Metrics = z.output<typeof Metrics>;
