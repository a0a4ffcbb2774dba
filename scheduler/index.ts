export { compactObservations, parseObservations } from './observations';
export { iterationCostUsd, roundCostNanoUsd } from './cost';
export { decideNext } from './decide';
export { DecisionInput, Decision, Observation, ResolvedGoal } from '../contracts/scheduling';
export { suggestTrial, type PastTrial, type TrialRequest } from './tune/sampler';
export { medianPrune, type Rung } from './tune/prune';
export { withParameters, type ParameterValue, type ParameterValues } from './tune/space';
export { createOptimizer, OptimizerGoal, Trial, type Optimizer, type OptimizerOptions, type Suggestion, type TimeModel } from './optimizer/optimizer';
export { Space, SpaceOption } from './optimizer/space';
