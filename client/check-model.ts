import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { SmltError } from '../contracts/errors';
import type { Job } from '../contracts/job';
import { openObjectStore } from '../storage';

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
  readonly source: 'layers' | 'onnx';
}

export async function checkModel({ model }: Job): Promise<ModelFacts> {
  if ('onnx' in model) await readOnnx(model.onnx);
  return { source: 'onnx' in model ? 'onnx' : 'layers' };
}
