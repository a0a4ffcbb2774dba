import { SmltError } from '../contracts/errors';
import type { Model } from '../contracts/model';
import { sourceFile } from '../storage/source-file';
import { selfContained } from '../training/onnx/external-data';
import { buildProgram, inferenceModel } from '../training/prepare';
import { decodeSafetensors } from '../training/safetensors';
import { cpuClass, hasChannelBlocks, openForward, openModel, openTraining } from '../training/runtime';
import type { Compute } from './compute';
import { gradientMsPerSample } from './micro-probe';
import { peakRssMib } from './peak-memory';
import { readGraph } from './program';
import type { Stores } from './stores';

/** Layers and exported graphs: differentiated once, computed by ONNX Runtime in this process. */
export const onnxCompute: Compute = {
  cpuClass,
  peakRssMib,
  async build({ stores, request, data }) {
    const { featureShape, features, target } = data.manifest;
    const built = buildProgram({ ...request, model: await modelOf(stores, request.model), featureShape, features, target });
    const msPerSample = await gradientMsPerSample(built.program, built.files, data, functionMemoryMib());
    return { ...built, measured: msPerSample === undefined ? {} : { gradientMsPerSample: msPerSample } };
  },
  async openLane(store, program, samples) {
    const graph = ((await hasChannelBlocks()) ? program.blockedGraphs?.[samples] : undefined) ?? program.trainingGraphs[samples];
    if (graph === undefined) throw new Error(`program ${program.digest} has no training graph for lanes of ${samples} samples`);
    return openTraining(await readGraph(store, graph), program, samples);
  },
  async openForward(store, program) {
    return openForward(await readGraph(store, program.forwardGraph), program);
  },
  modelFiles: async (store, program, { params, buffers }) =>
    new Map([['model.onnx', inferenceModel(await readGraph(store, program.forwardGraph), program, params, buffers)]]),
  openModel: async (store, { featureShape }, named) => openModel(await store.get(named('model.onnx')), featureShape),
};

/** Source: AWS Lambda documentation, "Defined runtime environment variables". */
const functionMemoryMib = () => Number(process.env['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'] ?? NaN);

/** All files of a job's model, read. */
async function modelOf(stores: Stores, model: Model): Promise<Parameters<typeof buildProgram>[0]['model']> {
  if ('layers' in model) return model;
  if (!('onnx' in model)) throw new SmltError('InvalidSpec', 'the functions that run graphs were asked to prepare a Python program');
  const { onnx, weights, ...said } = model;
  const open = (uri: string) => stores.store(uri);
  const file = sourceFile(onnx, open);
  return {
    ...said,
    onnx: await selfContained(await file.read(), (location) => file.readBeside(location)),
    ...(weights !== undefined && { weights: decodeSafetensors(await sourceFile(weights, open).read()).tensors }),
  };
}
