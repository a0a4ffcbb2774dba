import { z } from 'zod';
import type { Job } from './job';
import { compressionOf, LossyMethod } from './lossy-methods';

/** The job that leaves nothing to choose: with this method, or without any. */
export function withMethod(job: Job, method: LossyMethod | undefined): Job {
  const { allow: _chosen, ...synchronization } = job.synchronization;
  return { ...job, synchronization: { ...synchronization, ...(method && { compression: compressionOf(method) }) } };
}

/** What the scheduler chose of a job's methods, and why: for good, since it is in the weights. */
export const ChosenMethod = z.object({ formatVersion: z.literal(1), method: LossyMethod.optional(), reason: z.string() });
export type ChosenMethod = z.output<typeof ChosenMethod>;
