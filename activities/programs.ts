import { Context } from '@temporalio/activity';
import { PrepareAnswer } from '../contracts/functions';
import type { Job } from '../contracts/job';
import { partsOf } from '../contracts/synchronization';
import { distinctLaneBatches } from '../training/lanes';
import type { EngineDependencies } from './dependencies';
import { invokeFunction, type Answered } from './invocation';

/** Preparing differentiates the model and loads onnxruntime-node: one full vCPU pays at once. */
const PREPARE_MEMORY_MIB = 1_769;

/** TensorFlow alone takes 700 MiB; more memory than one vCPU's changes no measurement, since one thread computes. */
const PYTHON_PREPARE_MEMORY_MIB = 3_008;

export function createProgramActivities(engine: EngineDependencies) {
  return {
    /** Checks the model against the data and makes the program that trains, once: the same job finds the same program. */
    async prepareProgram({ job }: { job: Job }): Promise<Answered<PrepareAnswer>> {
      const { model, loss, data, training, synchronization, reproducibility } = job;
      const distinct = distinctLaneBatches(training, training.lanes, partsOf(synchronization));
      const request = {
        ...{ storeUri: engine.store.uri, model, loss, dataUri: data.train, seed: training.seed, laneBatches: distinct, reproducibility },
        recompute: training.recompute,
        memoryMib: job.allocation.memoryMib ?? engine.platform.limits.maxMemoryMib,
      };
      const python = 'python' in model ? await engine.findPython(model, (line) => Context.current().log.info(line)) : undefined;
      const spec = {
        role: 'prepare',
        memoryMib: python ? PYTHON_PREPARE_MEMORY_MIB : PREPARE_MEMORY_MIB,
        timeoutMs: engine.platform.limits.timeoutMs,
        ...(python && { python }),
      } as const;
      const outcome = await invokeFunction(engine, spec, request, PrepareAnswer);
      return python && outcome.kind === 'answered' ? { ...outcome, answer: { ...outcome.answer, python } } : outcome;
    },
  };
}
