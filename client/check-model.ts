import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { DataSetManifest } from '../contracts/data-set';
import { SmltError } from '../contracts/errors';
import type { Job } from '../contracts/job';
import { openObjectStore } from '../storage';
import { laneBatches } from '../training/lanes';
import { buildProgram } from '../training/prepare';

/** The forward graph that a job names. @throws {SmltError} `InvalidModel` when it cannot be read */
export async function readOnnx(uri: string): Promise<Uint8Array> {
  const cut = uri.lastIndexOf('/');
  try {
    return uri.startsWith('file:') ? await readFile(fileURLToPath(uri)) : await (await openObjectStore(uri.slice(0, cut))).get(uri.slice(cut + 1));
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new SmltError('InvalidModel', `model.onnx: ${uri}: ${missing ? 'there is no such file' : (error as Error).message}`, { cause: error });
  }
}

export interface ModelFacts {
  readonly paramCount: number;
  readonly peakMemoryMib: number;
  readonly forwardFlopsPerSample: number;
}

/**
 * Builds the training graphs and throws them away: what `prepare` would refuse is refused here, before anything runs.
 * @throws {SmltError} `InvalidModel`, `InvalidSpec` or `UnsupportedOperator`
 */
export async function checkModel({ model, loss, training }: Job, { featureShape, target }: DataSetManifest): Promise<ModelFacts> {
  const { program } = buildProgram({
    model: 'onnx' in model ? { onnx: await readOnnx(model.onnx) } : model,
    loss,
    featureShape,
    target,
    seed: training.seed,
    laneBatches: [...new Set(laneBatches(training.batchSize, training.lanes))],
  });
  const { paramCount, peakMemoryMib, forwardFlopsPerSample } = program;
  return { paramCount, peakMemoryMib, forwardFlopsPerSample };
}
