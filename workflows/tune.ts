import { setHandler } from '@temporalio/workflow';
import { totalStepsOf } from '../contracts/batch-size';
import { canonicalJson } from '../contracts/canonical-json';
import type { PrepareAnswer } from '../contracts/functions';
import type { Job } from '../contracts/job';
import { addBills, totalNanoUsd, type Bill, type Grant } from '../contracts/money';
import { smallerIsBetter, type MetricName, type Metrics } from '../contracts/metrics';
import { trialTrack, TuneInput, type TrackResult, type Trial, type TuneResult } from '../contracts/pipeline';
import { shouldPrune, suggestTrial } from './activities';
import { evaluateWeights, judgingSplit } from './evaluation';
import { progressSignal, type Progress } from './messages';
import { billOfFailure, reasonOfFailure } from './failures';
import { parseInput, refusal } from './refusal';
import { openStage } from './stage';
import { endingInOrder, listenForStop, runChild, tellToStop } from './stopping';
import { train } from './train';

/** Trials train on tracks of their own with the full run's schedule and are cut early at rungs, so the winner simply goes on. */
export async function tune(raw: unknown): Promise<TuneResult> {
  const input = parseInput(TuneInput, raw, 'tune');
  const { job } = input;
  const settings = job.tune;
  if (!settings) throw refusal('InvalidSpec', 'tune: the job has no tune section; add { "trials": 4, "parameters": { ... } }');
  const running = new Map<string, boolean>();
  const stop = listenForStop(() => {
    for (const child of running.keys()) tellToStop(child);
  });
  return endingInOrder(stop, async () => {
    const { run, program, grant, bill: opened, reportProgress, tellTrial, close } = await openStage(input);
    const trials: Trial[] = [];
    const rungValues: number[][] = settings.rungs.map(() => []);
    const journal: TuneResult['journal'] = [];
    let observations = input.observations;
    let bill = opened;
    setHandler(progressSignal, (progress: Progress) =>
      reportProgress({ ...progress, stage: 'tune', spentNanoUsd: totalNanoUsd(bill) + progress.spentNanoUsd }),
    );

    let next = 0;
    let exhausted: string | null = null;
    const lane = async (): Promise<void> => {
      while (next < settings.trials && !stop.requested && exhausted === null) await runTrial(next++);
    };
    await Promise.all(Array.from({ length: Math.min(settings.parallelism, settings.trials) }, lane));
    const best = bestOf(trials, settings.metric);
    const outcome = stop.requested ? 'stopped' : exhausted !== null ? 'budgetExhausted' : best === null ? 'failed' : 'completed';
    const reason =
      exhausted ??
      (best === null
        ? 'no trial came to a result'
        : `trial ${best} is best of ${trials.length}: ${settings.metric} ${trials.find(({ index }) => index === best)!.value!.toFixed(4)}`);
    await close();
    return { outcome, reason, trials: trials.sort((a, b) => a.index - b.index), best, bill, observations, journal };

    async function runTrial(index: number): Promise<void> {
      const history = trials.flatMap(({ parameters, value, state }) =>
        value === null && state !== 'failed'
          ? []
          : [
              {
                params: parameters,
                value,
                state: state === 'failed' ? ('failed' as const) : state === 'pruned' ? ('pruned' as const) : ('complete' as const),
              },
            ],
      );
      const suggested = await suggestTrial({ job, history, index });
      const trial: Trial = { index, parameters: suggested.parameters, value: null, step: 0, state: 'running' };
      trials.push(trial);
      tellTrial({ ...trial });
      const update = (change: Partial<Trial>) => {
        Object.assign(trial, change);
        tellTrial({ ...trial });
      };
      try {
        for (const [rung, share] of settings!.rungs.entries()) {
          const result = await segment(index, suggested.job, sameProgram(job, suggested.job) ? program : undefined, share);
          if (result.outcome !== 'completed' || result.weights === undefined) {
            if (result.outcome === 'budgetExhausted' || result.outcome === 'deadlineReached' || result.outcome === 'infeasibleGoal')
              exhausted ??= `tune's share is used up: ${result.reason}`;
            update({ state: trial.value === null ? 'failed' : 'pruned', step: result.step });
            return;
          }
          const split = job.data.validation !== undefined ? 'validation' : judgingSplit(job);
          const measured = await evaluateWeights(suggested.job, program, result.weights, split);
          bill = addBills(bill, measured.bill);
          const value = valueOf(measured.metrics, settings!.metric);
          update({ value, step: result.step, weights: result.weights });
          const others = [...rungValues[rung]!];
          rungValues[rung]!.push(value);
          const lastRung = rung === settings!.rungs.length - 1;
          if (!lastRung && (await shouldPrune({ metric: settings!.metric, value, others, step: result.step }))) {
            update({ state: 'pruned' });
            return;
          }
        }
        update({ state: 'complete' });
      } catch (error) {
        bill = addBills(bill, billOfFailure(error));
        update({ state: 'failed' });
        // A job that is wrong is wrong in every trial; a trial that diverged or crashed is its own affair.
        if (trials.every(({ state }) => state === 'failed') && trials.length === settings!.trials)
          throw refusal('FunctionFailed', `every trial failed; the last: ${reasonOfFailure(error)}`, bill);
      }
    }

    async function segment(index: number, trialJob: Job, trialProgram: PrepareAnswer | undefined, share: number): Promise<TrackResult> {
      const workflowId = `${run}/tune/${trialTrack(index)}`;
      running.set(workflowId, true);
      const untilStep = Math.max(1, Math.round(stepsOf(trialJob, program) * share));
      const result = await runChild(stop, train, workflowId, {
        job: trialJob,
        run,
        track: trialTrack(index),
        program: trialProgram,
        grant: shareOf(grant(), bill, settings!.parallelism),
        untilStep,
        observations: observations.slice(-8),
      });
      running.delete(workflowId);
      bill = addBills(bill, result.bill);
      observations = result.observations;
      journal.push(...result.journal.slice(-1));
      return result;
    }
  });
}

/** What one trial may spend now: what is left, divided among those that run side by side. */
function shareOf(grant: Grant, spent: Bill, parallelism: number): Grant {
  if (grant.budgetNanoUsd === undefined) return grant;
  return { ...grant, budgetNanoUsd: Math.max(0, Math.floor((grant.budgetNanoUsd - totalNanoUsd(spent)) / parallelism)) };
}

export const stepsOf = ({ training }: Job, { samples }: PrepareAnswer): number => totalStepsOf(training, samples);

/** Trials share the program unless what it is made from differs. */
export function sameProgram(a: Job, b: Job): boolean {
  const madeFrom = ({ model, loss, data, training: { batchSize, batchSchedule, lanes, seed } }: Job) =>
    canonicalJson({ model, loss, data, batchSize, batchSchedule, lanes, seed });
  return madeFrom(a) === madeFrom(b);
}

function valueOf(metrics: Metrics, metric: string): number {
  const value = metrics[metric.split('.')[1] as MetricName];
  if (value === undefined) throw refusal('InvalidSpec', `tune.metric: this model has no ${metric}; expected validation.loss`);
  return value;
}

/** The best trial among those that came furthest: values of different rungs do not compare. */
export function bestOf(trials: readonly Trial[], metric: string): number | null {
  const measured = trials.filter((trial) => trial.value !== null && trial.weights !== undefined && trial.state !== 'failed');
  const furthest = measured.filter(({ step }) => step === Math.max(...measured.map((trial) => trial.step)));
  const sign = smallerIsBetter(metric) ? 1 : -1;
  return (
    furthest.reduce<Trial | null>((best, trial) => (best === null || sign * trial.value! < sign * best.value! ? trial : best), null)?.index ?? null
  );
}
