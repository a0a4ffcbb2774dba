import { getExternalWorkflowHandle, isCancellation } from '@temporalio/workflow';
import type { Job } from '../contracts/job';
import { charge, noBill, type Bill, type Grant, type Ledger, type Stage } from '../contracts/money';
import type { Outcome, RunRecord, TrackResult } from '../contracts/pipeline';
import { keepStage, recallStage } from './activities';
import { billOfFailure } from './failures';
import { grantOf } from './grants';
import { grantSignal, type Progress } from './messages';
import type { RecordKeeper } from './record';
import { runChild, tellToStop, type StopRequest } from './stopping';

interface StageInput {
  readonly job?: Job;
  readonly observations?: readonly unknown[];
  readonly [field: string]: unknown;
}

/**
 * A pipeline's stages, each a child workflow. What one has finished is not done again when the run is resumed; what one has
 * spent is in the ledger while it runs, and whatever happens to it.
 */
export class Stages {
  /** The stage that runs, and the ledger at its start: while it runs its spend is what it last told; its bill is the truth. */
  #running: { name: Stage; workflowId: string; before: Ledger } | undefined;

  constructor(
    private readonly runId: string,
    private readonly job: Job,
    private readonly record: RecordKeeper,
    private readonly stop: StopRequest,
  ) {}

  /** Passes a wish to stop on. */
  tellToStop(): void {
    if (this.#running) tellToStop(this.#running.workflowId);
  }

  /** Passes a changed goal on. */
  grantAnew(): void {
    if (!this.#running) return;
    const { name, workflowId } = this.#running;
    void getExternalWorkflowHandle(workflowId)
      .signal(grantSignal, this.#grant(name))
      .catch(() => undefined);
  }

  told({ stage, track, round, first, step, totalSteps, loss, allocation, reason, spentNanoUsd, validation }: Progress): void {
    if (this.#running?.name !== stage) return;
    const journal = [{ atMs: Date.now(), track, round, first, last: step, allocation, reason }];
    const validations = validation ? [validation] : [];
    const ledger = charge(this.#running.before, stage, { ...noBill, computeNanoUsd: spentNanoUsd });
    this.record.update({ step, totalSteps, loss, allocation, journal, validations, ledger });
    this.record.saveNowAndThen();
  }

  pay(stage: Stage, bill: Bill): void {
    this.record.update({ ledger: charge(this.record.current.ledger, stage, bill) });
  }

  /** Runs one stage, unless its result for the same input is known from before. */
  async run<R extends { bill: Bill; outcome: Outcome } | TrackResult>(
    name: Stage,
    workflow: (raw: unknown) => Promise<R>,
    input: StageInput,
    limits: { wholeGoal?: Grant } = {},
  ): Promise<R> {
    const { runId: run, job, record } = this;
    await record.save({ stage: name, stages: this.#with(name, 'running') });
    // What a stage may spend and how it is spread is no part of what it computes: a raised budget repeats nothing.
    const { goal: _goal, allocation: _allocation, ...computed } = input.job ?? job;
    const { observations: _learnt, ...inputs } = input;
    const key = { ...inputs, job: computed };
    const known = (await recallStage({ run, stage: name, input: key })) as R | null;
    const result = known ?? (await this.#runChild(name, workflow, { job, run, grant: this.#grant(name), ...input, ...limits }));
    await record.save({ stages: this.#with(name, result.outcome) });
    if (!known && result.outcome === 'completed') await keepStage({ run, stage: name, input: key, result });
    return result;
  }

  async #runChild<R extends { bill: Bill; outcome: Outcome } | TrackResult>(
    name: Stage,
    workflow: (raw: unknown) => Promise<R>,
    input: unknown,
  ): Promise<R> {
    const { record, stop } = this;
    const before = record.current.ledger;
    const workflowId = `${this.runId}/${name}`;
    this.#running = { name, workflowId, before };
    try {
      const result = await runChild(stop, workflow, workflowId, input);
      record.update({ ledger: before });
      this.pay(name, result.bill);
      // What a stage tells in its last moment may come after its result.
      if ('validations' in result) record.update({ journal: result.journal, validations: result.validations });
      return result;
    } catch (error) {
      const bill = billOfFailure(error);
      if (bill.invocations > 0) {
        record.update({ ledger: before });
        this.pay(name, bill);
      }
      record.update({ stages: this.#with(name, isCancellation(error) ? 'stopped' : 'failed') });
      throw error;
    } finally {
      this.#running = undefined;
    }
  }

  #grant(name: Stage): Grant {
    return grantOf(name, this.record.current, Date.now());
  }

  #with(name: Stage, state: 'running' | Outcome): RunRecord['stages'] {
    return { ...this.record.current.stages, [name]: state };
  }
}
