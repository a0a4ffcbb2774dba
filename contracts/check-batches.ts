import { batchPhases, totalStepsOf } from './batch-size';
import { SmltError } from './errors';
import type { Training } from './job';

/**
 * What a job's batches can be only known beside its data. A batch beyond the data set would hold samples twice; a size that
 * comes after the last step never comes. @throws {SmltError} `InvalidSpec`
 */
export function checkBatches(training: Training, samples: number): void {
  const { lanes, batchSize, batchSchedule = [] } = training;
  const refuse = (field: string, what: string) => new SmltError('InvalidSpec', `training.${field}: ${what}`);
  if (samples < lanes) throw refuse('lanes', `${lanes} lanes need at least one sample each, and data.train has ${samples}; lower lanes`);
  const sizes = batchPhases({ batchSize, batchSchedule }).map((phase) => phase.batchSize);
  const tooLarge = sizes.findIndex((size) => size > samples);
  if (tooLarge >= 0)
    throw refuse(
      tooLarge === 0 ? 'batchSize' : `batchSchedule.${tooLarge - 1}.batchSize`,
      `a batch of ${sizes[tooLarge]} would hold samples twice, since data.train has ${samples}; expected at most ${samples}`,
    );
  const totalSteps = totalStepsOf(training, samples);
  const late = batchSchedule.findIndex(({ fromStep }) => fromStep >= totalSteps);
  if (late >= 0)
    throw refuse(
      `batchSchedule.${late}.fromStep`,
      `step ${batchSchedule[late]!.fromStep} never comes, since the job has ${totalSteps} steps; expected less than ${totalSteps}, or train longer`,
    );
}
