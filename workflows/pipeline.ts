import { CancellationScope, isCancellation, setHandler, workflowInfo } from '@temporalio/workflow';
import type { WeightsReference } from '../contracts/functions';
import {
  PipelineInput,
  type DeployResult,
  type EvaluateResult,
  type Outcome,
  type RunRecord,
  type TrackResult,
  type Trial,
  type TuneResult,
} from '../contracts/pipeline';
import { applyParameters, digestWeights, openRun } from './activities';
import { cleanUp } from './cleanup';
import { deploy } from './deploy';
import { evaluate } from './evaluate';
import { judgingSplit } from './evaluation';
import { codeOfFailure, reasonOfFailure } from './failures';
import { listenForGoals } from './goals';
import { wholeGrant } from './grants';
import { progressSignal, statusQuery, trialSignal } from './messages';
import { profile } from './profile';
import { ensureProgram } from './programs';
import { firstRecord, RecordKeeper } from './record';
import { parseInput, refusal } from './refusal';
import { Stages } from './stages';
import { listenForStop } from './stopping';
import { train } from './train';
import { bestOf, sameProgram, sameTimes, stepsOf, tune } from './tune';

/** Profiles, tunes, trains, evaluates and deploys one job. Its result is the run's record, whatever the outcome. */
export async function pipeline(raw: unknown): Promise<RunRecord> {
  const { job, resume } = parseInput(PipelineInput, raw, 'pipeline');
  const run = workflowInfo().workflowId;
  let running: Stages | undefined;
  const stop = listenForStop(() => running?.tellToStop());
  const opening = await openRun({ run, job, resume, nowMs: workflowInfo().startTime.getTime() });
  const record = new RecordKeeper(firstRecord(run, job, opening), opening.searchAttributes);
  const stages = (running = new Stages(run, job, record, stop));
  setHandler(statusQuery, () => record.current);
  setHandler(progressSignal, (progress) => stages.told(progress));
  const showTrials = (metric: string, trials: readonly Trial[]) =>
    record.update({ trials: [...trials], tune: { metric, best: bestOf(trials, metric) } });
  setHandler(trialSignal, (trial) => {
    if (!job.tune) return;
    showTrials(job.tune.metric, [...record.current.trials.filter(({ index }) => index !== trial.index), trial]);
    record.saveNowAndThen();
  });
  listenForGoals(record, () => stages.grantAnew());

  async function finish(outcome: Outcome, reason: string): Promise<RunRecord> {
    await cleanUp(run, opening.functionTimeoutMs);
    await record.save({ status: outcome, reason, stage: null });
    return record.current;
  }

  try {
    const prepared = await ensureProgram(job);
    stages.pay('profile', prepared.bill);
    const { program } = prepared;
    record.update({ totalSteps: stepsOf(job, program) });

    const profiled: TrackResult = await stages.run('profile', profile, { program }, { wholeGoal: wholeGrant(record.current) });
    if (profiled.outcome !== 'completed') return await finish(profiled.outcome, profiled.reason);
    let winner: WeightsReference | undefined = profiled.weights;
    let chosen = job;
    let observations = profiled.observations;

    if (job.tune && !stop.requested) {
      const tuned: TuneResult = await stages.run('tune', tune, { program, observations });
      showTrials(job.tune.metric, tuned.trials);
      const best = tuned.trials.find(({ index }) => index === tuned.best);
      if (tuned.outcome !== 'completed' && (tuned.outcome !== 'budgetExhausted' || !best)) return await finish(tuned.outcome, tuned.reason);
      if (best) {
        winner = best.weights;
        chosen = await applyParameters({ job, parameters: best.parameters });
        observations = tuned.observations;
      }
    }

    const trained: TrackResult = await stages.run('train', train, {
      job: chosen,
      program: sameProgram(job, chosen) ? program : undefined,
      startFrom: winner,
      observations: sameTimes(job, chosen) ? observations.slice(-8) : [],
    });
    const weightsSha256 = trained.weights ? await digestWeights(trained.weights) : null;
    record.update({
      step: trained.step,
      totalSteps: trained.totalSteps,
      loss: trained.loss,
      weightsSha256,
      adopted: profiled.adopted + trained.adopted,
    });
    if (trained.weights === undefined || trained.outcome === 'stopped' || trained.outcome === 'diverged')
      return await finish(trained.outcome, trained.reason);

    const split = judgingSplit(job);
    const evaluated: EvaluateResult = await stages.run('evaluate', evaluate, { program, weights: trained.weights, split });
    record.update({ metrics: evaluated.metrics });
    if (trained.outcome !== 'completed') return await finish(trained.outcome, trained.reason);
    if (evaluated.outcome !== 'completed') return await finish(evaluated.outcome, evaluated.reason);
    if (!job.deploy || stop.requested)
      return await finish(stop.requested ? 'stopped' : 'completed', stop.requested ? 'stopped as asked' : 'trained and evaluated');

    const { confusion: _shown, ...metrics } = evaluated.metrics;
    const deployed: DeployResult = await stages.run('deploy', deploy, { program, weights: trained.weights, metrics });
    record.update({ modelUri: deployed.modelUri ?? null, version: deployed.version ?? null, functionName: deployed.functionName ?? null });
    return await finish(deployed.outcome, deployed.reason);
  } catch (error) {
    // Whatever happened, the record says so: it is what people read when history is gone.
    await CancellationScope.nonCancellable(() => finish(isCancellation(error) ? 'stopped' : 'failed', reasonOfFailure(error)));
    if (isCancellation(error)) throw error;
    throw refusal(codeOfFailure(error), reasonOfFailure(error));
  }
}
