import { randomBytes } from 'node:crypto';
import { SmltError } from '../../contracts/errors';
import { exchangeKindOf, type ExchangeKind } from '../../contracts/exchange';
import { minimizeOf } from '../../contracts/goal';
import type { Job } from '../../contracts/job';
import { totalNanoUsd } from '../../contracts/money';
import { names } from '../../contracts/names';
import { TASK_QUEUE, TrackResult, trialTrack } from '../../contracts/pipeline';
import { RoundPlan } from '../../contracts/round';
import type { Observation } from '../../contracts/scheduling';
import { nanoUsd } from '../../contracts/units';
import { parseObservations } from '../../scheduler';
import { answered, fromTemporalFailure } from '../errors';
import { uploadModel } from '../onnx-file';
import type { Smlt } from '../smlt';

export interface Probed {
  readonly observations: readonly Observation[];
  readonly costNanoUsd: number;
  /** What its first round went over. */
  readonly exchange: ExchangeKind;
}

/**
 * Trains a job's first steps for a few cents, to see what they take: its profile stage as a run of its own, which leaves
 * nothing but what it has learnt.
 * @param budgetUsd  the most that it may cost
 * @throws {SmltError} what the stage fails with
 */
export async function probeJob(smlt: Smlt, job: Job, budgetUsd: number): Promise<Probed> {
  const run = `plan-${job.name}-${randomBytes(4).toString('hex')}`;
  const goal = { minimize: minimizeOf(job.goal), budgetUsd };
  const { budgetUsd: wholeUsd } = job.goal;
  const input = {
    job: { ...(await uploadModel(job, smlt.store)), goal },
    wholeGoal: wholeUsd === undefined ? {} : { budgetNanoUsd: nanoUsd(wholeUsd) },
  };
  try {
    const answer: unknown = await answered(
      smlt.client.workflow.execute('profile', { taskQueue: TASK_QUEUE, workflowId: run, args: [input], staticSummary: `smlt plan: ${job.name}` }),
    );
    const { observations, bill, reason } = TrackResult.parse(answer);
    if (observations.length === 0) throw new SmltError('InvalidSpec', `the probe came to nothing: ${reason} Allow it more than $${budgetUsd}.`);
    const { exchangeUri } = RoundPlan.parse(JSON.parse(Buffer.from(await smlt.store.get(names.plan({ run, track: trialTrack(0) }, 0))).toString()));
    return { observations: parseObservations(observations), costNanoUsd: totalNanoUsd(bill), exchange: exchangeKindOf(exchangeUri) };
  } catch (error) {
    throw error instanceof SmltError ? error : fromTemporalFailure(error);
  } finally {
    await smlt.store.delete(await smlt.store.list(names.run(run))).catch(() => undefined);
  }
}
