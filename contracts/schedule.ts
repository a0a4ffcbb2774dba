import { z } from 'zod';

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
