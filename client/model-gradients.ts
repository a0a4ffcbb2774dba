import { readFile, writeFile } from 'node:fs/promises';
import { SmltError } from '../contracts/errors';
import type { Loss } from '../contracts/model';
import { gradientsOf, type Gradients } from '../training/gradients';
import type { ParameterChoice } from '../training/import/patterns';
import { runGraph } from '../training/runtime';
import { decodeSafetensors, encodeSafetensors, type SafeTensor } from '../training/safetensors';
import { readOnnx } from './onnx-file';

export interface GradientFiles extends ParameterChoice {
  readonly model: string;
  /** safetensors: the graph's inputs by name, and the targets. */
  readonly batch: string;
  readonly targets: string | undefined;
  readonly loss: Loss | undefined;
  /** safetensors: `loss` [], `grad/<initialiser>`, `buffer_after/<running statistic>`, all float32. */
  readonly out: string;
}

/** @throws {SmltError} `InvalidModel`, `InvalidSpec`, `BadData` or `UnsupportedOperator`; then nothing is written */
export async function writeGradients({ model, batch, out, ...request }: GradientFiles): Promise<Gradients> {
  const tensors = await readBatch(batch);
  const made = await gradientsOf({ ...request, onnx: await readOnnx(model), batch: tensors }, runGraph);
  const under = (prefix: string, list: readonly SafeTensor[]) => list.map((tensor) => ({ ...tensor, name: `${prefix}/${tensor.name}` }));
  const bytes = encodeSafetensors([
    { name: 'loss', dtype: 'F32', shape: [], data: Float32Array.of(made.loss) },
    ...under('grad', made.gradients),
    ...under('buffer_after', made.buffers),
  ]);
  try {
    await writeFile(out, bytes);
  } catch (error) {
    throw new SmltError('InvalidSpec', `--out ${out}: ${(error as Error).message}`, { cause: error });
  }
  return made;
}

async function readBatch(path: string): Promise<ReadonlyMap<string, SafeTensor>> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new SmltError('BadData', `${path}: ${missing ? 'there is no such file' : (error as Error).message}`, { cause: error });
  }
  try {
    return decodeSafetensors(bytes).tensors;
  } catch (error) {
    throw error instanceof SmltError ? new SmltError(error.code, `${path}: ${error.message}`, { cause: error }) : error;
  }
}
