import { z } from 'zod';

const rate = z.number().positive('expected more than 0');
const decay = z.number().min(0, 'expected 0 or more');
const beta = z.number().min(0).lt(1, 'expected at least 0 and less than 1');

/** Update rules, with PyTorch's semantics and defaults. */
export const Optimizer = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({
      kind: z.literal('sgd'),
      learningRate: rate,
      momentum: beta.default(0),
      nesterov: z.boolean().default(false),
      weightDecay: decay.default(0),
    }),
    z.strictObject({
      kind: z.literal('adam'),
      learningRate: rate,
      beta1: beta.default(0.9),
      beta2: beta.default(0.999),
      epsilon: rate.default(1e-8),
      weightDecay: decay.default(0),
    }),
    z.strictObject({
      kind: z.literal('adamw'),
      learningRate: rate,
      beta1: beta.default(0.9),
      beta2: beta.default(0.999),
      epsilon: rate.default(1e-8),
      weightDecay: decay.default(0.01),
    }),
  ],
  { error: (issue) => (issue.code === 'invalid_union' ? 'unknown optimizer; expected kind sgd, adam or adamw' : undefined) },
);
export type Optimizer = z.output<typeof Optimizer>;

/** Learning rate as a function of the step alone; it multiplies the optimiser's rate. `warmupSteps` rises linearly to it first. */
export const Schedule = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('constant'), warmupSteps: z.int().min(0).default(0) }),
  z.strictObject({
    kind: z.literal('step'),
    everySteps: z.int().min(1),
    factor: z.number().positive().default(0.1),
    warmupSteps: z.int().min(0).default(0),
  }),
  z.strictObject({ kind: z.literal('cosine'), minimumFactor: z.number().min(0).max(1).default(0), warmupSteps: z.int().min(0).default(0) }),
]);
export type Schedule = z.output<typeof Schedule>;
