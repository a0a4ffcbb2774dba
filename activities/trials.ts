import { smallerIsBetter } from '../contracts/metrics';
import { parseJob, type Job } from '../contracts/job';
import { medianPrune, suggestTrial as suggest, withParameters, type ParameterValue, type ParameterValues, type PastTrial } from '../scheduler';

/** Which hyperparameters to try next, and which trials to give up. No state: the tune workflow carries the history. */
export const trialActivities = {
  /** The next trial's hyperparameters. Trial 0 is the job as it was written, which profile has begun to train. */
  async suggestTrial({
    job,
    history,
    index,
  }: {
    job: Job;
    history: readonly PastTrial[];
    index: number;
  }): Promise<{ parameters: ParameterValues; job: Job }> {
    const { tune, training } = job;
    if (!tune || index === 0) return { parameters: parametersOf(job), job };
    const parameters = suggest({
      parameters: tune.parameters,
      history,
      seed: training.seed,
      index,
      sampler: tune.sampler,
      minimize: smallerIsBetter(tune.metric),
      trials: tune.trials,
    });
    return { parameters, job: parseJob(withParameters(job, parameters)) };
  },
  async applyParameters({ job, parameters }: { job: Job; parameters: ParameterValues }): Promise<Job> {
    return parseJob(withParameters(job, parameters));
  },
  async shouldPrune({ metric, value, others, step }: { metric: string; value: number; others: readonly number[]; step: number }): Promise<boolean> {
    return medianPrune({ value, others, step, minimize: smallerIsBetter(metric) });
  },
};

/** The job's own values of the parameters that are searched. */
function parametersOf(job: Job): ParameterValues {
  const at = (path: string) => path.split('.').reduce<unknown>((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], job);
  return Object.fromEntries(
    Object.keys(job.tune?.parameters ?? {}).flatMap((path) => (at(path) === undefined ? [] : [[path, at(path) as ParameterValue]])),
  );
}
