import { PrepareAnswer } from '../contracts/functions';
import type { Job } from '../contracts/job';
import { laneBatches } from '../training/lanes';
import type { EngineDependencies } from './dependencies';
import { invokeFunction, type Answered } from './invocation';

/** Preparing differentiates the model and loads onnxruntime-node: one full vCPU pays at once. */
const PREPARE_MEMORY_MIB = 1_769;

export function createProgramActivities(engine: EngineDependencies) {
  return {
    /** Checks the model against the data and makes the program that trains, once: the same job finds the same program. */
    async prepareProgram({ job }: { job: Job }): Promise<Answered<PrepareAnswer>> {
      const { model, loss, data, training } = job;
      const distinct = [...new Set(laneBatches(training.batchSize, training.lanes))];
      const request = { storeUri: engine.store.uri, model, loss, dataUri: data.train, seed: training.seed, laneBatches: distinct };
      return invokeFunction(
        engine,
        { role: 'prepare', memoryMib: PREPARE_MEMORY_MIB, timeoutMs: engine.platform.limits.timeoutMs },
        request,
        PrepareAnswer,
      );
    },
  };
}
