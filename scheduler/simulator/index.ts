export { simulateRun, type Policy, type SimulatedJob, type SimulatedRun, type SimulatedRoundRecord, type SimulationOptions } from './run';
export { Faults, noFaults, type Change, type ExchangeModel, type Work, type WorkerKind, type World } from './world';
export { phasesOf, smltPhases, type Move, type SmltStep, type StepPhases } from './step-phases';
export { exchanges, lambdaWorkers, lambdaWorld } from './machines';
export { billedMsOf, type Ending, type InvocationLedger, type InvocationRecord } from './ledger';
export {
  baselinePhases,
  baselines,
  machineNetwork,
  machineTypes,
  machineWorkers,
  provisioningMs,
  type Baseline,
  type MachineType,
} from './baselines';
export { redisNodes, redisNodesFor } from './redis-nodes';
export type { Choice, PolicyGoal, StepCost } from './policies/choice';
export { scaleIn, type ScaleIn } from './policies/scale-in';
export { keyOf, siren, type Siren } from './policies/siren';
export { smltSearch, type SmltSearch } from './policies/smlt-search';
export { fixed, timetable, type Stage } from './policies/timetable';
