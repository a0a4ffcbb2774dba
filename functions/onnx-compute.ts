import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { SmltError } from '../contracts/errors';
import type { Model } from '../contracts/model';
import { buildProgram, inferenceModel } from '../training/prepare';
import { cpuClass, openForward, openModel, openTraining } from '../training/runtime';
import type { Compute } from './compute';
import { readGraph } from './program';
import type { Stores } from './world';

/** Layers and exported graphs: differentiated once, computed by ONNX Runtime in this process. */
export const onnxCompute: Compute = {
  cpuClass,
  peakRssMib: () => process.resourceUsage().maxRSS / 1_024,
  async build({ stores, request: { model, loss, seed, laneBatches }, data: { manifest } }) {
    const { featureShape, target } = manifest;
    return buildProgram({ model: await modelOf(stores, model), loss, featureShape, target, seed, laneBatches });
  },
  async openLane(store, program, samples) {
    const graph = program.trainingGraphs[samples];
    if (graph === undefined) throw new Error(`program ${program.digest} has no training graph for lanes of ${samples} samples`);
    return openTraining(await readGraph(store, graph), program, samples);
  },
  async openForward(store, program) {
    const session = await openForward(await readGraph(store, program.forwardGraph), program);
    return { run: async (input) => ({ outputs: await session.run(input) }), close: () => session.close() };
  },
  modelFiles: async (store, program, { params, buffers }) =>
    new Map([['model.onnx', inferenceModel(await readGraph(store, program.forwardGraph), program, params, buffers)]]),
  openModel: async (store, { featureShape }, named) => openModel(await store.get(named('model.onnx')), featureShape),
};

async function modelOf(stores: Stores, model: Model): Promise<Parameters<typeof buildProgram>[0]['model']> {
  if ('layers' in model) return model;
  if (!('onnx' in model)) throw new SmltError('InvalidSpec', 'the functions that run graphs were asked to prepare a Python program');
  const uri = model.onnx;
  if (uri.startsWith('file:')) {
    try {
      return { onnx: await readFile(fileURLToPath(uri)) };
    } catch (error) {
      throw new SmltError('InvalidModel', `${uri}: expected an ONNX file, and cannot read it: ${(error as Error).message}`, { cause: error });
    }
  }
  const folderEnd = uri.lastIndexOf('/');
  return { onnx: await (await stores.store(uri.slice(0, folderEnd))).get(uri.slice(folderEnd + 1)) };
}
