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
