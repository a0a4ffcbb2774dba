import { shapeKey } from '../contracts/allocation';
import type { PrepareAnswer } from '../contracts/functions';
import type { Job } from '../contracts/job';
import type { Observation } from '../contracts/scheduling';
import { keepLearnt } from './activities';

/** The newest look at each of the last allocations is what another run can use, and no large payload. */
const KEPT = 4;

/** Keeps what a run has seen for the next run of the same program, with all that its times depend on for those of other programs. */
export async function keepForNextRun(run: string, job: Job, program: PrepareAnswer, observations: readonly unknown[]): Promise<void> {
  const byAllocation = new Map<string, Observation>();
  for (const observation of observations as readonly Observation[]) {
    const key = shapeKey(observation.allocation);
    byAllocation.delete(key); // the newest comes last
    byAllocation.set(key, observation);
  }
  const { programDigest, paramCount, bufferCount, forwardFlopsPerSample, gradientMsPerSample } = program;
  const { batchSize, lanes } = job.training;
  const { topology, groups, compression } = job.synchronization;
  const facts = { paramCount, bufferCount, forwardFlopsPerSample, gradientMsPerSample };
  await keepLearnt({
    run,
    seen: { programDigest, program: facts, batchSize, lanes, topology, groups, compression, observations: [...byAllocation.values()].slice(-KEPT) },
  });
}
