import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { Allocation } from '../contracts/allocation';
import type { GoalChange, RunRecord, Trial } from '../contracts/pipeline';
import type { Grant } from '../contracts/money';
import type { ValidationPoint } from '../contracts/validation';

/** The newest state of a run or of one of its stages. */
export const statusQuery = defineQuery<RunRecord>('status');
/** Ends the run at its newest complete step; answers at once. */
export const stopUpdate = defineUpdate<void>('stop');
/** Changes what the run aims for; the pipeline grants anew. */
export const setGoalUpdate = defineUpdate<void, [GoalChange]>('setGoal');

/** From a parent to its child. */
export const stopSignal = defineSignal('stopStage');
export const grantSignal = defineSignal<[Grant]>('grant');
/** From a child to its parent after each commit, so that one query shows the whole run. */
export const progressSignal = defineSignal<[Progress]>('progress');
/** From tune to the pipeline, whenever a trial starts or learns its value. */
export const trialSignal = defineSignal<[Trial]>('trial');
export interface Progress {
  readonly stage: 'profile' | 'tune' | 'train';
  readonly track: string;
  readonly round: number;
  readonly first: number;
  readonly step: number;
  readonly totalSteps: number;
  readonly loss: number | null;
  readonly allocation: Allocation;
  readonly reason: string;
  readonly spentNanoUsd: number;
  /** Where the weights of this step have just been validated. */
  readonly validation?: ValidationPoint | undefined;
}
