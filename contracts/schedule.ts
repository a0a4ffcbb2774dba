import { z } from 'zod';

const whole = (least: number) => z.int('expected a whole number').min(least, `expected at least ${least}`);
const share = z.number().min(0, 'expected at least 0').max(1, 'expected at most 1');
const factor = z.number().gt(0, 'expected more than 0').lte(1, 'expected at most 1');
const warmup = { warmupSteps: whole(0).default(0) };

const schedules = [
  z.strictObject({ kind: z.literal('constant'), ...warmup }),
  /** factor^floor(t / everySteps), as StepLR. */
  z.strictObject({ kind: z.literal('step'), everySteps: whole(1), factor: z.number().positive().default(0.1), ...warmup }),
  /** factor^(number of steps passed), as MultiStepLR. */
  z.strictObject({
    kind: z.literal('multistep'),
    atSteps: z
      .array(whole(1))
      .min(1, 'expected at least one step')
      .refine((steps) => steps.every((step, i) => i === 0 || step > steps[i - 1]!), 'expected rising steps'),
    factor: factor.default(0.1),
    ...warmup,
  }),
  /** factor^t, as ExponentialLR. */
  z.strictObject({ kind: z.literal('exponential'), factor, ...warmup }),
  /** Half a cosine from 1 to minimumFactor over the rest of the training, as CosineAnnealingLR. */
  z.strictObject({ kind: z.literal('cosine'), minimumFactor: share.default(0), ...warmup }),
  /** Half cosines of firstSteps, then multiplier times as many, and so on, as CosineAnnealingWarmRestarts. */
  z.strictObject({
    kind: z.literal('cosine-restarts'),
    firstSteps: whole(1),
    multiplier: whole(1).default(1),
    minimumFactor: share.default(0),
    ...warmup,
  }),
  /** Smith and Topin 2018: up to the full rate and down again, as OneCycleLR without its cycle of the momentum. */
  z.strictObject({
    kind: z.literal('one-cycle'),
    riseShare: z.number().gt(0, 'expected more than 0').lt(1, 'expected less than 1').default(0.3),
    startDivisor: z.number().min(1, 'expected at least 1').default(25),
    endDivisor: z.number().min(1, 'expected at least 1').default(10_000),
    shape: z.enum(['cosine', 'linear']).default('cosine'),
    threePhase: z.boolean().default(false),
    ...warmup,
  }),
  /** (1 - t / rest)^power, as PolynomialLR. */
  z.strictObject({ kind: z.literal('polynomial'), power: z.number().positive('expected more than 0').default(1), ...warmup }),
  /** Times `factor` whenever the mean training loss of an interval has not improved for `patience` intervals, as ReduceLROnPlateau. */
  z.strictObject({
    kind: z.literal('reduce-on-plateau'),
    everySteps: whole(1).default(100),
    factor: z.number().gt(0, 'expected more than 0').lt(1, 'expected less than 1').default(0.1),
    patience: whole(0).default(10),
    threshold: z.number().min(0, 'expected 0 or more').default(1e-4),
    thresholdMode: z.enum(['relative', 'absolute']).default('relative'),
    cooldown: whole(0).default(0),
    minimumFactor: share.default(0),
    ...warmup,
  }),
] as const;
const scheduleKinds = schedules.map(({ shape }) => shape.kind.value);

/** The learning rate of a step, as a factor of the optimiser's; `warmupSteps` rises linearly to it first. */
export const Schedule = z.discriminatedUnion('kind', schedules, {
  error: (issue) => (issue.code === 'invalid_union' ? `unknown schedule; expected kind ${scheduleKinds.join(', ')}` : undefined),
});
export type Schedule = z.output<typeof Schedule>;
