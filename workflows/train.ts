import { continueAsNew } from '@temporalio/workflow';
import { TrainInput, type TrackResult } from '../contracts/pipeline';
import { parseInput } from './refusal';
import { keepForNextRun } from './learnt';
import { openStage, startCarrying } from './stage';
import { endingInOrder, listenForStop } from './stopping';
import { trainTrack } from './track';

/** Trains until the target step, the deadline, the budget or a stop request, whichever comes first. */
export async function train(raw: unknown): Promise<TrackResult> {
  const input = parseInput(TrainInput, raw, 'train');
  const stop = listenForStop();
  return endingInOrder(stop, async () => {
    const { run, program, bill, grant, reportProgress, close } = await openStage(input);
    const result = await trainTrack({
      ...{ run, track: input.track, stage: 'train', job: input.job, program, phase: 'run', startFrom: input.startFrom, untilStep: input.untilStep },
      ...{
        carried: input.carried ?? startCarrying(bill, input.observations),
        grant,
        stopRequested: () => stop.requested,
        onProgress: reportProgress,
      },
      handOver: (carried) => continueAsNew<typeof train>({ ...input, run, program, grant: grant(), carried }),
    });
    // Parts of a trial see what the whole sees again.
    if (input.untilStep === undefined) await keepForNextRun(run, input.job, program, result.observations);
    await close();
    return result;
  });
}
