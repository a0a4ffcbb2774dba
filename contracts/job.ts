import { z } from 'zod';
import { BatchSchedule } from './batch-size';
import { SmltError } from './errors';
import { closestIssues } from './closest-issues';
import { issueWords } from './issue-words';
import { Goal } from './goal';
import { Loss } from './loss';
import { Requirements } from './metrics';
import { Model } from './model';
import { Optimizer, WeightAverage } from './optimizer';
import { Recompute } from './recompute';
import { Schedule } from './schedule';
import { Synchronization } from './synchronization';
import { EarlyStopping, Until, ValidationMetric } from './validation';

const isPowerOfTwo = (n: number) => Number.isInteger(Math.log2(n));
const Steps = z.int('expected a whole number').min(1, 'expected at least 1');

export const Training = z
  .strictObject({
    epochs: z.number().positive('expected more than 0').optional(),
    steps: Steps.optional(),
    batchSize: Steps.default(256),
    /** Later sizes of the batch, announced, so that the scheduler plans for them. */
    batchSchedule: BatchSchedule.optional(),
    lanes: z.int().min(1).max(1024).refine(isPowerOfTwo, 'expected a power of two from 1 to 1024').default(16),
    seed: z.int().min(0).max(0xffffffff).default(1),
    optimizer: Optimizer,
    schedule: Schedule.prefault({ kind: 'constant' }),
    /** Evaluate and deploy a moving average of the weights; left out: the newest weights. */
    weightAverage: WeightAverage.optional(),
    /** Global-norm gradient clipping; left out: none. */
    clipNorm: z.number().positive('expected more than 0').optional(),
    /** Compute intermediates again for the backward pass; left out: only where a function's memory is too small for them. */
    recompute: Recompute.optional(),
    /** Ends earlier than the steps or epochs say, by what is measured on data.validation. */
    until: Until.optional(),
    earlyStopping: EarlyStopping.optional(),
    /** Steps between two validations; left out: an epoch's. */
    validateEverySteps: Steps.optional(),
  })
  .refine((t) => (t.epochs === undefined) !== (t.steps === undefined), {
    error: 'expected either epochs or steps, not both and not neither',
    path: ['epochs'],
  })
  .refine((t) => t.validateEverySteps === undefined || t.until !== undefined || t.earlyStopping !== undefined, {
    error: 'nothing asks for validations; add until or earlyStopping, or leave it out',
    path: ['validateEverySteps'],
  })
  .refine((t) => t.batchSize >= t.lanes, {
    error: 'expected a batch of at least one sample a lane: raise batchSize or lower lanes',
    path: ['batchSize'],
  })
  .refine((t) => (t.batchSchedule ?? []).every(({ batchSize }) => batchSize >= t.lanes), {
    error: 'expected batches of at least one sample a lane: raise batchSize or lower lanes',
    path: ['batchSchedule'],
  });
export type Training = z.output<typeof Training>;

/** How one hyperparameter is searched. */
export const SearchRange = z.union(
  [
    z.strictObject({
      logUniform: z.tuple([z.number().positive(), z.number().positive()]).refine(([a, b]) => a < b, 'expected [low, high] with low below high'),
    }),
    z.strictObject({ uniform: z.tuple([z.number(), z.number()]).refine(([a, b]) => a < b, 'expected [low, high] with low below high') }),
    z.strictObject({ integer: z.tuple([z.int(), z.int()]).refine(([a, b]) => a < b, 'expected [low, high] with low below high') }),
    z.strictObject({ choice: z.array(z.union([z.number(), z.string(), z.boolean()])).min(1) }),
  ],
  { error: 'expected one of { "logUniform": [low, high] }, { "uniform": [low, high] }, { "integer": [low, high] }, { "choice": [...] }' },
);
export type SearchRange = z.output<typeof SearchRange>;

/** What changes a model's weights; topology, groups and exchanges do not. */
const SEARCHED = /^(training|synchronization\.(compression|localSteps))\..|^synchronization\.microBatches$/;

export const Tune = z.strictObject({
  trials: z.int().min(1).max(1000),
  parameters: z
    .record(z.string(), SearchRange)
    .refine((parameters) => Object.keys(parameters).length > 0, 'expected at least one parameter to search')
    .superRefine((parameters, context) => {
      const message = 'expected a path under training., synchronization.compression, .microBatches or .localSteps';
      for (const path of Object.keys(parameters)) if (!SEARCHED.test(path)) context.addIssue({ code: 'custom', path: [path], message });
    }),
  metric: ValidationMetric.default('validation.loss'),
  sampler: z.enum(['tpe', 'random']).default('tpe'),
  parallelism: z.int().min(1).max(64).default(2),
  /** Share of the steps at which trials are compared; the worse half of each rung is pruned. */
  rungs: z
    .array(z.number().gt(0).lt(1))
    .min(1, 'expected at least one share of the steps; leave it out for [0.1, 0.3]')
    .refine((shares) => shares.every((share, i) => i === 0 || share > shares[i - 1]!), 'expected rising shares, such as [0.1, 0.3]')
    .default([0.1, 0.3]),
});
export type Tune = z.output<typeof Tune>;

/** Every lane has a sample for each of so many parts of its share, whatever the batch's size. */
const fillsParts = ({ batchSize, batchSchedule = [], lanes }: Training, parts: number) =>
  [{ batchSize }, ...batchSchedule].every((phase) => phase.batchSize >= lanes * parts);

export const Job = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'expected 1 to 40 lower-case letters, digits and dashes'),
    /** URIs of data-set prefixes (paths relative to the job file, in a job file). */
    data: z.strictObject({ train: z.string().min(1), validation: z.string().min(1).optional(), test: z.string().min(1).optional() }),
    model: Model,
    loss: Loss,
    training: Training,
    tune: Tune.optional(),
    evaluate: z.strictObject({ require: Requirements.optional() }).optional(),
    deploy: z
      .strictObject({ name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'expected 1 to 40 lower-case letters, digits and dashes') })
      .optional(),
    goal: Goal.default({}),
    /** Bounds on what the scheduler may choose. */
    allocation: z
      .strictObject({
        minWorkers: Steps.optional(),
        maxWorkers: Steps.optional(),
        memoryMib: z.int().min(128).max(10_240).optional(),
        /** Fixes the steps a round: 1 makes every iteration a batch of activities. */
        stepsPerRound: Steps.optional(),
      })
      .refine(({ minWorkers = 1, maxWorkers = Infinity }) => minWorkers <= maxWorkers, { error: 'expected at most maxWorkers', path: ['minWorkers'] })
      .default({}),
    reproducibility: z.enum(['bits', 'values']).optional(),
    synchronization: Synchronization.prefault({}),
  })
  .refine(({ training, data }) => (training.until === undefined && training.earlyStopping === undefined) || data.validation !== undefined, {
    error: 'training.until and training.earlyStopping are measured on it; add a validation set, or leave them out',
    path: ['data', 'validation'],
  })
  .refine(({ training, synchronization: { microBatches = 1 } }) => fillsParts(training, microBatches), {
    error: 'expected at least one sample a lane in each: lower microBatches or lanes, or raise batchSize',
    path: ['synchronization', 'microBatches'],
  })
  .refine(({ training, synchronization: { localSteps } }) => fillsParts(training, localSteps?.steps ?? 1), {
    error: 'expected at least one sample a lane in each step: lower steps or lanes, or raise batchSize',
    path: ['synchronization', 'localSteps', 'steps'],
  });
export type Job = z.output<typeof Job>;
export type JobInput = z.input<typeof Job>;

/** Parses with every bad field reported at once. @throws {SmltError} `InvalidSpec` */
export function parseWith<S extends z.ZodType>(schema: S, input: unknown, what: string): z.output<S> {
  const parsed = schema.safeParse(input, { error: issueWords });
  if (!parsed.success) throw new SmltError('InvalidSpec', `${what} is not valid:\n${z.prettifyError(closestIssues(parsed.error))}`);
  return parsed.data;
}

export const parseJob = (input: unknown): Job => parseWith(Job, input, 'the job');
