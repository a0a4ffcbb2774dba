import { SmltError } from '../contracts/errors';
import { openObjectStore, sha256Hex, type ObjectStore } from '../storage';
import { sourceFile } from '../storage/source-file';
import { names } from '../contracts/names';
import type { Job } from '../contracts/job';
import type { OnnxModel } from '../contracts/model';
import type { OnnxSource } from '../training/prepare';
import { decodeSafetensors } from '../training/safetensors';
import { selfContained } from '../training/onnx/external-data';

/**
 * An ONNX model with what lies in files beside it, as one self-contained file.
 * @param source  a path, a `file:` URI, or the URI of an object
 * @throws {SmltError} `InvalidModel` when any of it cannot be read, leaves the model's folder, or is 2 GiB or more
 */
export async function readOnnx(source: string): Promise<Uint8Array> {
  const file = sourceFile(source, openObjectStore);
  const bytes = await file.read();
  try {
    return await selfContained(bytes, (location) => file.readBeside(location));
  } catch (error) {
    throw error instanceof SmltError && !error.message.includes(source)
      ? new SmltError(error.code, `${source}: ${error.message}`, { cause: error })
      : error;
  }
}

/** All files of a job's model, read. @throws {SmltError} `InvalidModel`, or `BadData` for weights that are no safetensors */
export async function readOnnxModel({ onnx, weights, ...said }: OnnxModel): Promise<OnnxSource> {
  return {
    ...said,
    onnx: await readOnnx(onnx),
    ...(weights !== undefined && { weights: decodeSafetensors(await sourceFile(weights, openObjectStore).read()).tensors }),
  };
}

/** The job with its model's files in the store, named by what is in them: functions find them, and a changed file is another job. */
export async function uploadModel(job: Job, store: ObjectStore): Promise<Job> {
  if (!('onnx' in job.model)) return job;
  const { onnx, weights } = job.model;
  const put = async (file: string, bytes: Uint8Array) => {
    const name = names.source(sha256Hex(bytes), file);
    await store.putValue(name, bytes);
    return `${store.uri}/${name}`;
  };
  return {
    ...job,
    model: {
      ...job.model,
      onnx: await put('model.onnx', await readOnnx(onnx)),
      ...(weights !== undefined && { weights: await put('weights.safetensors', await sourceFile(weights, openObjectStore).read()) }),
    },
  };
}
