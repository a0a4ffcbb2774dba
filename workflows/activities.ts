import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../activities';
import { activityRetry } from '../contracts/activity-retry';

const { initialIntervalMs: initialInterval, maximumIntervalMs: maximumInterval, ...attempts } = activityRetry;
const retry = { initialInterval, maximumInterval, ...attempts };
/** Every activity beats while it runs, so a dead Temporal worker delays nothing for longer than this. */
const lively = { heartbeatTimeout: '10s', retry } as const;

// One proxy per way of failing: a function may use all of its 15 minutes, a commit is many small reads, a decision is quick.
export const { invokeTrainer, probeGradients, prepareProgram, evaluatePart, exportModel, checkModel } = proxyActivities<Activities>({
  startToCloseTimeout: '16m',
  ...lively,
});
// A chunk lives as long as it beats: its workers may need many turns of 15 minutes.
export const { driveChunk } = proxyActivities<Activities>({ startToCloseTimeout: '1 day', ...lively });
export const { commitRound, cutShort, cleanRun, mergeEvaluation, publishModel, shiftTraffic } = proxyActivities<Activities>({
  startToCloseTimeout: '5m',
  ...lively,
});
export const {
  openRun,
  writeRecord,
  recallStage,
  keepStage,
  openTrack,
  decideNext,
  judgeValidation,
  planMicroProbe,
  keepMicroProbe,
  keepLearnt,
  suggestTrial,
  shouldPrune,
  countSamples,
  keepDeployment,
  applyParameters,
  digestWeights,
} = proxyActivities<Activities>({
  startToCloseTimeout: '30s',
  ...lively,
});
