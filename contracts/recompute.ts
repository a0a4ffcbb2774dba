import { z } from 'zod';

/** `true`: as little memory as it can give. A bound: no more than keeps one lane's tensors within it. */
export const Recompute = z.union([z.boolean(), z.strictObject({ tensorsMib: z.number().positive('expected more than 0') })], {
  error: 'expected true, false or { "tensorsMib": the most that one lane\'s tensors may take }',
});
export type Recompute = z.output<typeof Recompute>;
