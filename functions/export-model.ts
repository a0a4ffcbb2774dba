import type { ExportAnswer, ExportRequest } from '../contracts/functions';
import { LOSS_WEIGHT } from '../contracts/loss';
import { names } from '../contracts/names';
import { encodeSafetensors } from '../training/safetensors';
import { bytesOf, jsonBytes, sha256Of } from './bytes';
import { readProgram } from './program';
import { readWeights } from './weights';
import type { World } from './world';

/** Writes a committed round's weights as a model that others can use: its own files, safetensors and a model card. */
export async function exportWeights(world: World, request: ExportRequest): Promise<ExportAnswer> {
  const store = await world.store(request.storeUri);
  const program = await readProgram(store, request.programDigest);
  const { params, buffers } = await readWeights(store, program, request.weights);
  const weightsSha256 = sha256Of([bytesOf(params), bytesOf(buffers)]);
  const files = await world.compute.modelFiles(store, program, { params, buffers });
  const version = sha256Of([...files.values()]).slice(0, 12);
  const { loss, featureShape, target, digest: programDigest } = program;
  const card = { ...request.card, formatVersion: 1, name: request.name, version, weightsSha256, programDigest, loss, featureShape, target };

  const named = (file: string) => names.model(request.name, version, file);
  const tensors = [
    ...program.params.map((tensor) => tensorOf(tensor, params)),
    ...program.buffers.filter(({ name }) => name !== LOSS_WEIGHT).map((tensor) => tensorOf(tensor, buffers)),
  ];
  for (const [file, bytes] of files) await store.putValue(named(file), bytes);
  await store.putValue(named('model.safetensors'), encodeSafetensors(tensors, { weightsSha256 }));
  // A record, not a value: the same weights may be exported again by another run.
  await store.replace(named('model-card.json'), jsonBytes(card));
  return { version, modelName: request.name, weightsSha256, ...(program.python && { file: 'model.safetensors' }) };
}

function tensorOf({ name, shape, offset, length }: { name: string; shape: number[]; offset: number; length: number }, flat: Float32Array) {
  return { name, dtype: 'F32' as const, shape, data: flat.subarray(offset, offset + length) };
}
