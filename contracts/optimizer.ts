import { z } from 'zod';

const rate = z.number().positive('expected more than 0');
const share = z.number().min(0, 'expected 0 or more');
const beta = z.number().min(0, 'expected at least 0').lt(1, 'expected less than 1');
const flag = z.boolean().default(false);
const averages = (beta1: number, beta2: number) => ({ beta1: beta.default(beta1), beta2: beta.default(beta2) });
/** Decay as a part of the gradient (L2), unless `decoupledWeightDecay` shrinks the parameter itself, as AdamW does. */
const decay = { weightDecay: share.default(0) };

const rules = [
  z
    .strictObject({ kind: z.literal('sgd'), learningRate: rate, momentum: beta.default(0), dampening: share.optional(), nesterov: flag, ...decay })
    .refine(({ nesterov, momentum, dampening }) => !nesterov || (momentum > 0 && (dampening ?? 0) === 0), {
      error: 'expected momentum above 0 and no dampening: Nesterov looks one step ahead along the momentum',
      path: ['nesterov'],
    }),
  z.strictObject({
    kind: z.literal('adam'),
    learningRate: rate,
    ...averages(0.9, 0.999),
    epsilon: rate.default(1e-8),
    ...decay,
    amsgrad: z.boolean().optional(),
  }),
  z.strictObject({
    kind: z.literal('adamw'),
    learningRate: rate,
    ...averages(0.9, 0.999),
    epsilon: rate.default(1e-8),
    weightDecay: share.default(0.01),
    amsgrad: z.boolean().optional(),
  }),
  z.strictObject({ kind: z.literal('adamax'), learningRate: rate, ...averages(0.9, 0.999), epsilon: rate.default(1e-8), ...decay }),
  z.strictObject({
    kind: z.literal('nadam'),
    learningRate: rate,
    ...averages(0.9, 0.999),
    epsilon: rate.default(1e-8),
    momentumDecay: share.default(0.004),
    ...decay,
    decoupledWeightDecay: flag,
  }),
  z.strictObject({
    kind: z.literal('radam'),
    learningRate: rate,
    ...averages(0.9, 0.999),
    epsilon: rate.default(1e-8),
    ...decay,
    decoupledWeightDecay: flag,
  }),
  z.strictObject({
    kind: z.literal('adagrad'),
    learningRate: rate,
    learningRateDecay: share.default(0),
    initialAccumulator: share.default(0),
    epsilon: rate.default(1e-10),
    ...decay,
  }),
  z.strictObject({ kind: z.literal('adadelta'), learningRate: rate.default(1), rho: beta.default(0.9), epsilon: rate.default(1e-6), ...decay }),
  z.strictObject({
    kind: z.literal('rmsprop'),
    learningRate: rate,
    alpha: beta.default(0.99),
    epsilon: rate.default(1e-8),
    centered: flag,
    momentum: beta.default(0),
    ...decay,
  }),
  z.strictObject({ kind: z.literal('lion'), learningRate: rate, ...averages(0.9, 0.99), ...decay }),
] as const;
const optimizerKinds = rules.map(({ shape }) => shape.kind.value);

/** Update rules, with PyTorch's semantics and defaults; Lion as in Chen et al. 2023, with its decoupled decay. */
export const Optimizer = z.discriminatedUnion('kind', rules, {
  error: (issue) => (issue.code === 'invalid_union' ? `unknown optimizer; expected kind ${optimizerKinds.join(', ')}` : undefined),
});
export type Optimizer = z.output<typeof Optimizer>;

/**
 * An exponential moving average of the weights, kept beside them: average = decay * average + (1 - decay) * weights after
 * every step, beginning with the weights of the first. Evaluation and deployment take the average.
 */
export const WeightAverage = z.strictObject({ decay: z.number().gt(0, 'expected more than 0').lt(1, 'expected less than 1').default(0.999) });
export type WeightAverage = z.output<typeof WeightAverage>;
