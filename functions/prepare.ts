import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { SmltError } from '../contracts/errors';
import type { PrepareAnswer, PrepareRequest } from '../contracts/functions';
import type { Model } from '../contracts/model';
import { names } from '../contracts/names';
import { Program } from '../contracts/program';
import { buildProgram } from '../training/prepare';
import { jsonBytes, sha256Of } from './bytes';
import { DataSet } from './data-set';
import type { World } from './world';

/**
 * Checks model, loss and data against each other, differentiates the model and stores the program under its digest. The
 * same request finds the same program, so it may run twice or in parallel.
 */
export async function prepareProgram(world: World, request: PrepareRequest): Promise<PrepareAnswer> {
  const store = await world.store(request.storeUri);
  const data = await DataSet.open(world, request.dataUri);
  const { program: draft, files } = buildProgram({
    model: await modelOf(world, request.model),
    loss: request.loss,
    featureShape: data.manifest.featureShape,
    target: data.manifest.target,
    seed: request.seed,
    laneBatches: request.laneBatches,
  });
  await data.checkAll();
  const digest = digestOf(draft, files);
  const named = (file: string) => names.program(digest, file);
  const program = Program.parse({
    ...draft,
    digest,
    trainingGraphs: Object.fromEntries(Object.entries(draft.trainingGraphs).map(([samples, file]) => [samples, named(file)])),
    forwardGraph: named(draft.forwardGraph),
    initialParams: named(draft.initialParams),
    initialBuffers: named(draft.initialBuffers),
  });
  for (const [file, bytes] of files) await store.putValue(named(file), bytes);
  // Last: a program that can be read has all its files.
  await store.putValue(named('program.json'), jsonBytes(program));
  return {
    programDigest: digest,
    paramCount: program.paramCount,
    bufferCount: program.bufferCount,
    peakMemoryMib: program.peakMemoryMib,
    forwardFlopsPerSample: program.forwardFlopsPerSample,
    dataSha256: data.manifest.sha256,
    samples: data.manifest.samples,
  };
}

function digestOf(draft: unknown, files: ReadonlyMap<string, Uint8Array>): string {
  const parts = [...files].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([file, bytes]) => [jsonBytes([file, bytes.byteLength]), bytes]);
  return sha256Of([jsonBytes(draft), ...parts]);
}

async function modelOf(world: World, model: Model): Promise<Parameters<typeof buildProgram>[0]['model']> {
  if ('layers' in model) return model;
  const uri = model.onnx;
  if (uri.startsWith('file:')) {
    try {
      return { onnx: await readFile(fileURLToPath(uri)) };
    } catch (error) {
      throw new SmltError('InvalidModel', `${uri}: expected an ONNX file, and cannot read it: ${(error as Error).message}`, { cause: error });
    }
  }
  const folderEnd = uri.lastIndexOf('/');
  return { onnx: await (await world.store(uri.slice(0, folderEnd))).get(uri.slice(folderEnd + 1)) };
}
