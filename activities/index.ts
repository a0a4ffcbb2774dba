import type { EngineDependencies } from './dependencies';
import { createCleanupActivities } from './cleanup';
import { createDeploymentActivities } from './deployment';
import { createEvaluationActivities } from './evaluation';
import { whileBeating } from './heartbeats';
import { createLearntActivities } from './learnt';
import { createMicroProbeActivities } from './micro-probe';
import { createProgramActivities } from './programs';
import { createRoundActivities } from './rounds';
import { createRunActivities } from './runs';
import { createSchedulingActivities } from './scheduling';
import { createTrackActivities } from './tracks';
import { createTrainingActivities } from './training';
import { trialActivities } from './trials';
import { createValidationActivities } from './validation';

/** Everything the workflows ask of the world, bound to it. */
export function createActivities(engine: EngineDependencies) {
  const activities = {
    ...createRunActivities(engine),
    ...createProgramActivities(engine),
    ...createTrackActivities(engine),
    ...createSchedulingActivities(engine),
    ...createLearntActivities(engine),
    ...createMicroProbeActivities(engine),
    ...trialActivities,
    ...createTrainingActivities(engine),
    ...createRoundActivities(engine),
    ...createEvaluationActivities(engine),
    ...createValidationActivities(engine),
    ...createDeploymentActivities(engine),
    ...createCleanupActivities(engine),
  };
  return allBeating(activities);
}

function allBeating<Activities extends object>(activities: Activities): Activities {
  const beating = Object.entries(activities).map(([name, run]: [string, (...input: unknown[]) => Promise<unknown>]) => [
    name,
    (...input: unknown[]) => whileBeating(() => run(...input)),
  ]);
  return Object.fromEntries(beating) as Activities;
}

export type Activities = ReturnType<typeof createActivities>;
export type { EngineDependencies } from './dependencies';
