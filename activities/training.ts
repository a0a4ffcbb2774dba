import { TrainAnswer, type Assignment, type TrainOutcome } from '../contracts/round';
import type { EngineDependencies } from './dependencies';
import { invokeFunction } from './invocation';

export function createTrainingActivities(engine: EngineDependencies) {
  /** Runs one worker's turn. A function's failure is an outcome with its bill, not an exception. */
  async function invokeTrainer(assignment: Assignment): Promise<TrainOutcome> {
    const spec = { role: 'train', memoryMib: assignment.memoryMib, timeoutMs: engine.platform.limits.timeoutMs } as const;
    const outcome = await invokeFunction(engine, spec, { ...assignment, storeUri: engine.store.uri }, TrainAnswer);
    return outcome.kind === 'answered' ? { ...outcome.answer, bill: outcome.bill } : outcome;
  }
  return { invokeTrainer };
}
