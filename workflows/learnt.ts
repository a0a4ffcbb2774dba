import { shapeKey } from '../contracts/allocation';
import type { Observation } from '../contracts/scheduling';
import { keepLearnt } from './activities';

/** The newest look at each of the last allocations is what another run can use, and no large payload. */
const KEPT = 4;

/** Keeps what a run has seen for the next run of the same program. */
export async function keepForNextRun(run: string, { programDigest }: { programDigest: string }, seen: readonly unknown[]): Promise<void> {
  const byAllocation = new Map<string, Observation>();
  for (const observation of seen as readonly Observation[]) {
    const key = shapeKey(observation.allocation);
    byAllocation.delete(key); // the newest comes last
    byAllocation.set(key, observation);
  }
  await keepLearnt({ run, programDigest, observations: [...byAllocation.values()].slice(-KEPT) });
}
