import { z } from 'zod';
import { Compression, compressionForms } from './compression';

const [fp16, bf16, qsgd, topK] = compressionForms;
/** How many times as many steps the method is reckoned to need for the same loss; left out: `stepsFactorOf`. */
const stepsFactor = z.number().min(1, 'expected at least 1').max(10, 'expected at most 10').optional();

/** Those whose bytes follow from their settings: what a significance filter sends depends on values that nobody has seen. */
const shorthands = ['bf16', 'fp16', 'qsgd', 'top-k'] as const;
const expected = `expected ${shorthands.join(', ')}, or an object with such a kind and its settings`;

const forms = [fp16, bf16, qsgd, topK].map((form) => form.extend({ stepsFactor })) as unknown as [
  z.ZodObject<(typeof fp16)['shape'] & { stepsFactor: typeof stepsFactor }, z.core.$strict>,
  z.ZodObject<(typeof bf16)['shape'] & { stepsFactor: typeof stepsFactor }, z.core.$strict>,
  z.ZodObject<(typeof qsgd)['shape'] & { stepsFactor: typeof stepsFactor }, z.core.$strict>,
  z.ZodObject<(typeof topK)['shape'] & { stepsFactor: typeof stepsFactor }, z.core.$strict>,
];

/** A way to exchange gradients that loses something, and that a job lets the scheduler take. */
export const LossyMethod = z.discriminatedUnion('kind', forms, {
  error: ({ code, input }) => {
    if (code !== 'invalid_union') return undefined;
    const isFilter = (input as { kind?: unknown } | undefined)?.kind === 'significance';
    return isFilter ? `what significance sends follows from values that nobody knows before: fix it by compression, or ${expected}` : expected;
  },
});
export type LossyMethod = z.output<typeof LossyMethod>;

const Shorthand = z.enum(shorthands).transform((kind) => LossyMethod.parse({ kind }));
/** A kind alone has its defaults. */
export const LossyMethods = z
  .array(z.union([Shorthand, LossyMethod], { error: ({ input }) => (typeof input === 'string' ? `unknown method ${input}; ${expected}` : expected) }))
  .min(1, 'expected at least one method; leave it out to lose nothing');

/** The compression that a method is. */
export function compressionOf({ stepsFactor: _reckoned, ...settings }: LossyMethod): Compression {
  return Compression.parse(settings);
}
