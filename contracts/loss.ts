import { z } from 'zod';

const smoothing = z.number().min(0, 'expected at least 0').lt(1, 'expected less than 1');
const positive = z.number().positive('expected more than 0');
const weights = z
  .array(z.number().min(0, 'expected 0 or more'))
  .min(2, 'expected one weight a class')
  .refine((all) => all.some((weight) => weight > 0), 'expected a weight above 0');

const losses = [
  z.strictObject({
    kind: z.literal('softmax-cross-entropy'),
    labelSmoothing: smoothing.optional(),
    /** Positions with this label count nothing. */
    ignoreIndex: z.int().optional(),
    classWeights: weights.optional(),
  }),
  z.strictObject({ kind: z.literal('next-token'), labelSmoothing: smoothing.optional(), ignoreIndex: z.int().optional() }),
  z.strictObject({ kind: z.literal('bce-with-logits'), positiveWeight: positive.optional() }),
  z.strictObject({ kind: z.literal('mse') }),
  z.strictObject({ kind: z.literal('mae') }),
  z.strictObject({ kind: z.literal('huber'), delta: positive.optional() }),
  z.strictObject({ kind: z.literal('kl-divergence') }),
  z.strictObject({ kind: z.literal('hinge'), margin: positive.optional() }),
  /** The model's own: what a Python program defines, or an ONNX graph outputs. */
  z.strictObject({ kind: z.literal('program') }),
] as const;
export const LossSettings = z.discriminatedUnion('kind', losses);
export type LossSettings = z.output<typeof LossSettings>;
export type LossName = LossSettings['kind'];
export const lossNames = losses.map(({ shape }) => shape.kind.value) as [LossName, ...LossName[]];

/** What training makes small: a name, or a name with its settings. */
export const Loss = z.union([z.enum(lossNames), LossSettings], {
  error: `expected one of ${lossNames.join(', ')}, or { "kind": one of them, and its settings }`,
});
export type Loss = z.output<typeof Loss>;

export const settingsOf = (loss: Loss): LossSettings => (typeof loss === 'string' ? ({ kind: loss } as LossSettings) : loss);

/**
 * The buffer that carries the mean weight of a batch's losses where it differs from batch to batch (ignored labels, class
 * weights): the loss and its gradient are divided by it.
 */
export const LOSS_WEIGHT = 'smlt.loss-weight';
