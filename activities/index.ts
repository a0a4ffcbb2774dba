import type { EngineDependencies } from './dependencies';
import { createDeploymentActivities } from './deployment';
import { createEvaluationActivities } from './evaluation';
import { createProgramActivities } from './programs';
import { createRoundActivities } from './rounds';
import { createRunActivities } from './runs';
import { createSchedulingActivities } from './scheduling';
import { createTrainingActivities } from './training';

/** Everything the workflows ask of the world, bound to it. */
export function createActivities(engine: EngineDependencies) {
  return {
    ...createRunActivities(engine),
    ...createProgramActivities(engine),
    ...createSchedulingActivities(engine),
    ...createTrainingActivities(engine),
    ...createRoundActivities(engine),
    ...createEvaluationActivities(engine),
    ...createDeploymentActivities(engine),
  };
}
export type Activities = ReturnType<typeof createActivities>;
export type { EngineDependencies } from './dependencies';
