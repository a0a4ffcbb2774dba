import { SmltError } from '../contracts/errors';
import type { DataSetManifest } from '../contracts/data-set';
import type { Job } from '../contracts/job';
import { partsOf } from '../contracts/synchronization';
import { distinctLaneBatches } from '../training/lanes';
import { buildProgram, nothingToPredict } from '../training/prepare';
import { checkPython } from './check-python';
import type { ModelFacts } from './model-facts';
import { readOnnxModel } from './onnx-file';

/**
 * Builds the training graphs and throws them away: what `prepare` would refuse is refused here, before anything runs.
 * @throws {SmltError} `InvalidModel`, `InvalidSpec` or `UnsupportedOperator`
 */
export async function checkModel(job: Job, data: DataSetManifest, tell: (line: string) => void): Promise<ModelFacts> {
  const { model, loss, training, synchronization } = job;
  const { featureShape, features, target } = data;
  if ('python' in model) return checkPython(model, job, data, tell);
  const { program } = buildProgram({
    model: 'onnx' in model ? await readOnnxModel(model) : model,
    loss,
    featureShape,
    features,
    target,
    seed: training.seed,
    laneBatches: distinctLaneBatches(training, training.lanes, partsOf(synchronization)),
    recompute: training.recompute,
    memoryMib: job.allocation.memoryMib,
  });
  if (job.deploy && !program.outputShape) throw new SmltError('InvalidSpec', nothingToPredict);
  const { paramCount, peakMemoryMib, forwardFlopsPerSample } = program;
  return { paramCount, peakMemoryMib, forwardFlopsPerSample };
}
