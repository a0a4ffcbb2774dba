import { CancellationScope, getExternalWorkflowHandle, isCancellation, setHandler, workflowInfo } from '@temporalio/workflow';
import { parseWith, type Job } from '../contracts/job';
import { charge, spentNanoUsd, type Bill, type Grant, type Stage } from '../contracts/money';
import type { RunOpening } from '../activities/runs';
import {
  GoalChange,
  PipelineInput,
  type DeployResult,
  type EvaluateResult,
  type Outcome,
  type RunRecord,
  type TrackResult,
  type Trial,
  type TuneResult,
} from '../contracts/pipeline';
import type { WeightsReference } from '../contracts/functions';
import { durationMs, nanoUsd } from '../contracts/units';
import { applyParameters, digestWeights, keepStage, openRun, recallStage } from './activities';
import { cleanUp } from './cleanup';
import { deploy } from './deploy';
import { evaluate } from './evaluate';
import { judgingSplit } from './evaluation';
import { billOfFailure, codeOfFailure, reasonOfFailure } from './failures';
import { grantSignal, progressSignal, setGoalUpdate, statusQuery, trialSignal } from './messages';
import { profile } from './profile';
import { ensureProgram } from './programs';
import { RecordKeeper } from './record';
import { parseInput, refusal } from './refusal';
import { listenForStop, runChild, tellToStop } from './stopping';
import { train } from './train';
import { bestOf, sameProgram, stepsOf, tune } from './tune';

// Shares of what is left: evaluate and deploy are reserved first, so that a model that was paid for is also measured.
const RESERVED_SHARE = 0.05;
const RESERVED_AT_LEAST_NANO_USD = 300_000;
const RESERVED_AT_MOST_SHARE = 0.5;
const RESERVED_TIME_SHARE = 0.05;
const RESERVED_TIME_AT_LEAST_MS = 3_000;
const STAGE_SHARES: Partial<Record<Stage, number>> = { profile: 0.1, tune: 0.5 };

function startRecord(run: string, job: Job, opening: RunOpening): RunRecord {
  const { startedAtMs, deadlineAtMs, budgetNanoUsd, ledger, notices } = opening;
  return {
    ...{
      formatVersion: 1,
      runId: run,
      name: job.name,
      status: 'running',
      reason: 'started',
      startedAtMs,
      updatedAtMs: Date.now(),
      stages: {},
      stage: null,
    },
    ...{
      step: 0,
      totalSteps: 0,
      loss: null,
      allocation: null,
      ledger,
      budgetNanoUsd,
      deadlineAtMs,
      minimize: null,
      journal: [],
      trials: [],
      validations: [],
      metrics: null,
    },
    ...{ tune: job.tune ? { metric: job.tune.metric, best: null } : null, adopted: 0 },
    ...{ weightsSha256: null, modelUri: null, version: null, functionName: null, notices: [...notices] },
  };
}

/** Profiles, tunes, trains, evaluates and deploys one job. Its result is the run's record, whatever the outcome. */
export async function pipeline(raw: unknown): Promise<RunRecord> {
  const { job, resume } = parseInput(PipelineInput, raw, 'pipeline');
  const run = workflowInfo().workflowId;
  const active = new Set<string>();
  const stop = listenForStop(() => {
    for (const child of active) tellToStop(child);
  });
  const opening = await openRun({ run, job, resume, nowMs: workflowInfo().startTime.getTime() });
  const record = new RecordKeeper(startRecord(run, job, opening), opening.searchAttributes);
  setHandler(statusQuery, () => record.current);
  const pay = (stage: Stage, bill: Bill) => record.update({ ledger: charge(record.current.ledger, stage, bill) });

  /** What a stage may spend, and until when. */
  const grantOf = (stage: Stage): Grant => {
    const { budgetNanoUsd, deadlineAtMs } = record.current;
    const ends = stage === 'evaluate' || stage === 'deploy';
    const grant: Grant = record.current.minimize === null ? {} : { minimize: record.current.minimize };
    if (budgetNanoUsd !== null) {
      const reserve = ends
        ? 0
        : Math.min(Math.max(budgetNanoUsd * RESERVED_SHARE, RESERVED_AT_LEAST_NANO_USD), budgetNanoUsd * RESERVED_AT_MOST_SHARE);
      const rest = budgetNanoUsd - spentNanoUsd(record.current.ledger) - reserve;
      grant.budgetNanoUsd = Math.max(0, Math.floor(rest * (STAGE_SHARES[stage] ?? 1)));
    }
    if (deadlineAtMs !== null) {
      const spanMs = deadlineAtMs - Date.now();
      const reserveMs = ends ? 0 : Math.max(RESERVED_TIME_AT_LEAST_MS, spanMs * RESERVED_TIME_SHARE);
      grant.deadlineAtMs = Math.floor(Date.now() + (spanMs - reserveMs) * (STAGE_SHARES[stage] ?? 1));
    }
    return grant;
  };

  const wholeGoal = (): Grant => ({
    ...(record.current.budgetNanoUsd === null
      ? {}
      : { budgetNanoUsd: Math.max(0, record.current.budgetNanoUsd - spentNanoUsd(record.current.ledger)) }),
    ...(record.current.deadlineAtMs === null ? {} : { deadlineAtMs: record.current.deadlineAtMs }),
  });

  // While a stage runs, its spend is what it last told; when it ends, its bill is the truth.
  let before = record.current.ledger;
  let live: Stage | null = null;
  setHandler(progressSignal, ({ stage, track, round, first, step, totalSteps, loss, allocation, reason, spentNanoUsd: spent, validation }) => {
    if (live !== stage) return;
    const running: Bill = { invocations: 0, billedMs: 0, computeNanoUsd: spent, requestsNanoUsd: 0, storeNanoUsd: 0, estimatedNanoUsd: 0 };
    const journal = [{ atMs: Date.now(), track, round, first, last: step, allocation, reason }];
    const validations = validation ? [validation] : [];
    record.update({ step, totalSteps, loss, allocation, journal, validations, ledger: charge(before, stage, running) });
    record.saveNowAndThen();
  });
  const showTrials = (metric: string, trials: readonly Trial[]) =>
    record.update({ trials: [...trials], tune: { metric, best: bestOf(trials, metric) } });
  setHandler(trialSignal, (trial) => {
    if (!job.tune) return;
    showTrials(job.tune.metric, [...record.current.trials.filter(({ index }) => index !== trial.index), trial]);
    record.saveNowAndThen();
  });
  setHandler(
    setGoalUpdate,
    (change) => {
      const { minimize, budgetUsd, deadline } = parseWith(GoalChange, change, 'the new goal');
      if (minimize !== undefined) record.update({ minimize });
      if (budgetUsd !== undefined) record.update({ budgetNanoUsd: budgetUsd === null ? null : nanoUsd(budgetUsd) });
      if (deadline !== undefined) record.update({ deadlineAtMs: deadline === null ? null : deadlineOf(deadline) });
      const stage = record.current.stage;
      if (stage)
        for (const child of active)
          void getExternalWorkflowHandle(child)
            .signal(grantSignal, grantOf(stage))
            .catch(() => undefined);
    },
    {
      validator: (change) => {
        const { budgetUsd, deadline } = parseWith(GoalChange, change, 'the new goal');
        if (typeof budgetUsd === 'number' && nanoUsd(budgetUsd) < spentNanoUsd(record.current.ledger))
          throw refusal('InvalidSpec', `budgetUsd: $${budgetUsd} is less than what is spent already; expected more, or stop the run`);
        if (typeof deadline === 'string' && deadlineOf(deadline) <= Date.now()) throw refusal('InvalidSpec', 'deadline: expected a moment after now');
      },
    },
  );

  /** Runs one stage as a child, unless its result for the same input is known from before. */
  async function stage<R extends { bill: Bill; outcome: Outcome } | TrackResult>(
    name: Stage,
    workflow: (raw: unknown) => Promise<R>,
    input: { job?: Job; [field: string]: unknown },
    limits: { wholeGoal?: Grant } = {},
  ): Promise<R> {
    await record.save({ stage: name, stages: { ...record.current.stages, [name]: 'running' } });
    // What a stage may spend and how it is spread is no part of what it computes: a raised budget repeats nothing.
    const { goal: _goal, allocation: _allocation, ...computed } = input.job ?? job;
    const { observations: _learnt, ...inputs } = input;
    const key = { ...inputs, job: computed };
    const known = (await recallStage({ run, stage: name, input: key })) as R | null;
    if (known) {
      await record.save({ stages: { ...record.current.stages, [name]: known.outcome } });
      return known;
    }
    before = record.current.ledger;
    live = name;
    const workflowId = `${run}/${name}`;
    active.add(workflowId);
    try {
      const result = await runChild(stop, workflow, workflowId, { job, run, grant: grantOf(name), ...input, ...limits });
      live = null;
      record.update({ ledger: before });
      pay(name, result.bill);
      // What a stage tells in its last moment may come after its result.
      if ('validations' in result) record.update({ journal: result.journal, validations: result.validations });
      await record.save({ stages: { ...record.current.stages, [name]: result.outcome } });
      if (result.outcome === 'completed') await keepStage({ run, stage: name, input: key, result });
      return result;
    } catch (error) {
      live = null;
      const bill = billOfFailure(error);
      if (bill.invocations > 0) {
        record.update({ ledger: before });
        pay(name, bill);
      }
      record.update({ stages: { ...record.current.stages, [name]: isCancellation(error) ? 'stopped' : 'failed' } });
      throw error;
    } finally {
      active.delete(workflowId);
    }
  }

  async function finish(outcome: Outcome, reason: string): Promise<RunRecord> {
    await cleanUp(run, opening.functionTimeoutMs);
    await record.save({ status: outcome, reason, stage: null });
    return record.current;
  }

  try {
    const prepared = await ensureProgram(job);
    pay('profile', prepared.bill);
    const { program } = prepared;
    record.update({ totalSteps: stepsOf(job, program) });

    const profiled: TrackResult = await stage('profile', profile, { program }, { wholeGoal: wholeGoal() });
    if (profiled.outcome !== 'completed') return await finish(profiled.outcome, profiled.reason);
    let winner: WeightsReference | undefined = profiled.weights;
    let chosen = job;
    let observations = profiled.observations;

    if (job.tune && !stop.requested) {
      const tuned: TuneResult = await stage('tune', tune, { program, observations });
      showTrials(job.tune.metric, tuned.trials);
      const best = tuned.trials.find(({ index }) => index === tuned.best);
      if (tuned.outcome !== 'completed' && (tuned.outcome !== 'budgetExhausted' || !best)) return await finish(tuned.outcome, tuned.reason);
      if (best) {
        winner = best.weights;
        chosen = await applyParameters({ job, parameters: best.parameters });
        observations = tuned.observations;
      }
    }

    const trained: TrackResult = await stage('train', train, {
      job: chosen,
      program: sameProgram(job, chosen) ? program : undefined,
      startFrom: winner,
      observations: observations.slice(-8),
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
    const evaluated: EvaluateResult = await stage('evaluate', evaluate, { program, weights: trained.weights, split });
    record.update({ metrics: evaluated.metrics });
    if (trained.outcome !== 'completed') return await finish(trained.outcome, trained.reason);
    if (evaluated.outcome !== 'completed') return await finish(evaluated.outcome, evaluated.reason);
    if (!job.deploy || stop.requested)
      return await finish(stop.requested ? 'stopped' : 'completed', stop.requested ? 'stopped as asked' : 'trained and evaluated');

    const { confusion: _shown, ...metrics } = evaluated.metrics;
    const deployed: DeployResult = await stage('deploy', deploy, { program, weights: trained.weights, metrics });
    record.update({ modelUri: deployed.modelUri ?? null, version: deployed.version ?? null, functionName: deployed.functionName ?? null });
    return await finish(deployed.outcome, deployed.reason);
  } catch (error) {
    // Whatever happened, the record says so: it is what people read when history is gone.
    await CancellationScope.nonCancellable(() => finish(isCancellation(error) ? 'stopped' : 'failed', reasonOfFailure(error)));
    if (isCancellation(error)) throw error;
    throw refusal(codeOfFailure(error), reasonOfFailure(error));
  }

  function deadlineOf(deadline: string): number {
    return /^\d{4}-/.test(deadline) ? Date.parse(deadline) : Date.now() + durationMs(deadline);
  }
}
