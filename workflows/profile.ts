import { patched, workflowInfo } from '@temporalio/workflow';
import { ProfileInput, trialTrack, type TrackResult } from '../contracts/pipeline';
import { keepForNextRun } from './learnt';
import { parseInput } from './refusal';
import { openStage, startCarrying } from './stage';
import { endingInOrder, listenForStop } from './stopping';
import { trainTrack } from './track';

/** Short real rounds of the job's own trial at a few allocations: what the scheduler learns from, and training all the same. */
export async function profile(raw: unknown): Promise<TrackResult> {
  const input = parseInput(ProfileInput, raw, 'profile');
  const stop = listenForStop();
  return endingInOrder(stop, async () => {
    const { run, program, bill, grant, reportProgress, close } = await openStage(input);
    const result = await trainTrack({
      ...{ run, track: trialTrack(0), stage: 'profile', job: input.job, program, phase: 'profile', carried: startCarrying(bill, []) },
      ...{ grant, wholeGoal: input.wholeGoal, stopRequested: () => stop.requested, onProgress: reportProgress },
    });
    // A pipeline goes on and keeps more when it ends, if it does; trials of other programs begin before.
    if (!workflowInfo().parent || patched('keep-what-profile-learnt')) await keepForNextRun(run, input.job, program, result.observations);
    await close();
    return result;
  });
}
