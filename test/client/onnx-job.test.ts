/** @jest-environment ./test/support/native-arrays.ts */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { checkJob } from '../../client/check-job';
import { packFiles } from '../../client/data-pack';
import { readSamples } from '../../client/data-sets';
import { readJobFile } from '../../client/job-file';
import { uploadModel } from '../../client/onnx-file';
import type { ObjectStore } from '../../storage';
import { openObjectStore } from '../../storage';
import { onnxCompute } from '../../functions/onnx-compute';
import { DataSet } from '../../functions/data-set';
import { laneBatches } from '../../training/lanes';
import { encodeSafetensors, type SafeTensor } from '../../training/safetensors';
import { openTraining } from '../../training/runtime';

/* Jobs that bring an exported model; the models are those of test/training/fixtures/onnx. */
const fixtures = join(__dirname, '../training/fixtures/onnx');
let folder: string;
let store: ObjectStore;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'smlt-onnx-job-'));
  store = await openObjectStore(pathToFileURL(join(folder, 'store')).href);
  for (const file of ['mixed.onnx', 'functions.onnx', 'half.onnx', 'half.data']) copyFileSync(join(fixtures, file), join(folder, file));
  const ids = BigInt64Array.from({ length: 64 * 5 }, (_, i) => BigInt((i * 7) % 11));
  const w = Float32Array.from({ length: 64 }, (_, i) => 1 + (i % 3));
  const samples: SafeTensor[] = [
    { name: 'ids', dtype: 'I64', shape: [64, 5], data: ids },
    { name: 'weight', dtype: 'F32', shape: [64, 1], data: w },
    { name: 'label', dtype: 'I64', shape: [64], data: BigInt64Array.from({ length: 64 }, (_, i) => BigInt(i % 3)) },
    { name: 'four', dtype: 'F32', shape: [64, 4], data: Float32Array.from({ length: 256 }, (_, i) => Math.sin(i)) },
    { name: 'binary', dtype: 'F32', shape: [64, 1], data: Float32Array.from({ length: 64 }, (_, i) => i % 2) },
    { name: 'huge', dtype: 'I64', shape: [64, 5], data: ids.map((id) => id + 2n ** 25n) },
  ];
  writeFileSync(join(folder, 'samples.safetensors'), encodeSafetensors(samples));
  const options = { kind: undefined, classes: undefined, seed: 1, samplesPerShard: 40 };
  await packFiles(from('ids,weight'), from('label'), join(folder, 'mixed'), options);
  await packFiles(from('four'), from('binary'), join(folder, 'four'), { ...options, kind: 'values' });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const from = (tensors: string) => `${join(folder, 'samples.safetensors')}:${tensors}`;

async function jobOf(data: string, model: object, loss: string) {
  const path = join(folder, 'job.json');
  const training = { steps: 1, batchSize: 16, lanes: 4, optimizer: { kind: 'sgd', learningRate: 0.1 } };
  writeFileSync(path, JSON.stringify({ name: 'exported', data: { train: data }, model, loss, training }));
  return readJobFile(path);
}
const mixed = (model: object = {}) => jobOf('mixed', { onnx: 'mixed.onnx', inputs: { w: 'weight' }, ...model }, 'softmax-cross-entropy');
const functions = (model: object = {}) => jobOf('four', { onnx: 'functions.onnx', ...model }, 'bce-with-logits');

/** The program as the prepare function builds it, from the uploaded job. */
async function built(job: Awaited<ReturnType<typeof mixed>>) {
  const uploaded = await uploadModel(job, store);
  const stores = { store: openObjectStore, exchange: () => Promise.reject(new Error('not here')) };
  const { training, model, loss, data } = uploaded;
  const request = {
    storeUri: store.uri,
    model,
    loss,
    dataUri: data.train,
    seed: 1,
    laneBatches: [...new Set(laneBatches(training.batchSize, training.lanes))],
  };
  return { uploaded, ...(await onnxCompute.build({ stores, request, data: await DataSet.open(stores, data.train) })) };
}

describe('a data set with named features', () => {
  it('holds a row a sample, features one after the other', async () => {
    const uri = pathToFileURL(join(folder, 'mixed')).href;
    const { inputs } = await readSamples(uri, 0, 64);
    expect(inputs.every((row) => row.length === 6 && Number.isInteger(row[0]) && row[5]! >= 1)).toBe(true);
    expect(new Set(inputs.map((row) => row.join())).size).toBeGreaterThan(10);
  });
  it('refuses whole numbers that float32 would round', async () => {
    const options = { kind: undefined, classes: undefined, seed: 1, samplesPerShard: 40 };
    await expect(packFiles(from('huge'), from('label'), join(folder, 'no'), options)).rejects.toThrow(/at most 16,777,216/);
  });
});

describe('a job with an exported model', () => {
  it('maps graph inputs to features, uploads the model under its digest, and trains from there', async () => {
    const job = await mixed();
    const { model } = await checkJob(job);
    const { uploaded, program, files } = await built(job);
    expect(uploaded.model).toMatchObject({ onnx: expect.stringMatching(/\/store\/sources\/[0-9a-f]{64}\/model\.onnx$/) });
    expect(program.paramCount).toBe(model.paramCount);
    const names = program.params.map(({ name }) => name);
    expect(names).toEqual(['emb.weight', 'l.weight', 'l.bias', 'ln.weight', 'ln.bias', 'bn.weight', 'bn.bias', 'head.weight', 'head.bias']);
    expect(program.buffers.map(({ name }) => name)).toEqual(['bn.running_mean', 'bn.running_var']);
    expect(program.noise).toMatchObject([{ rate: 0.1, elementsPerSample: 40 }]);

    const floats = (file: string) => new Float32Array(files.get(file)!.slice().buffer);
    const session = await openTraining(files.get(program.trainingGraphs[4]!)!, program, 4);
    const into = new Float32Array(program.paramCount + program.bufferCount + 1);
    const features = Float32Array.from({ length: 24 }, (_, i) => (i * 5) % 11);
    await session.run({
      params: floats('initial-params.f32'),
      features,
      targets: Int32Array.of(0, 1, 2, 0),
      noise: [new Float32Array(160).fill(1)],
      into,
    });
    expect(into.every(Number.isFinite)).toBe(true);
    expect(into.at(-1)).toBeGreaterThan(0);
  });

  it('is the same job after its upload, and another when the file changes', async () => {
    const once = await uploadModel(await functions(), store);
    expect(await uploadModel(once, store)).toEqual(once);
    expect((await uploadModel(await functions({ onnx: 'half.onnx' }), store)).model).not.toEqual(once.model);
  });

  it('trains what `train` and `freeze` leave, and keeps frozen values in the graph', async () => {
    const { program } = await built(await mixed({ train: ['head.*', 'l.*'], freeze: ['*.bias'] }));
    expect(program.params.map(({ name }) => name)).toEqual(['l.weight', 'head.weight']);
    // The statistics are not in `train` either: they stay, and predict.
    expect(program.buffers).toEqual([]);
    const whole = await built(await mixed({ freeze: ['emb.weight'] }));
    expect(whole.program.params.map(({ name }) => name)).not.toContain('emb.weight');
    expect(whole.program.buffers).toHaveLength(2);
  });

  it('takes initial values from a file, and inputs that are named there as parameters', async () => {
    const values: SafeTensor[] = [{ name: 'w2', dtype: 'F32', shape: [4, 1], data: Float32Array.of(1, 2, 3, 4) }];
    writeFileSync(join(folder, 'w.safetensors'), encodeSafetensors(values));
    const { program, files } = await built(await functions({ weights: 'w.safetensors' }));
    const { offset } = program.params.find(({ name }) => name === 'w2')!;
    expect([...new Float32Array(files.get('initial-params.f32')!.slice().buffer).slice(offset, offset + 4)]).toEqual([1, 2, 3, 4]);

    const arrays: SafeTensor[] = [{ name: 'w', dtype: 'F32', shape: [4, 1], data: Float32Array.of(1, 1, 1, 1) }];
    writeFileSync(join(folder, 'input.safetensors'), encodeSafetensors(arrays));
    const job = await mixed({ inputs: {}, weights: 'input.safetensors' });
    expect((await built(job)).program.params.map(({ name }) => name)).toContain('w');
  });

  it.each<[string, () => ReturnType<typeof mixed>, RegExp]>([
    ['an input without a feature', () => mixed({ inputs: {} }), /input 'w' needs a feature of the data set, which has ids, weight/],
    ['a mapping of no input', () => mixed({ inputs: { nope: 'ids' } }), /no input 'nope'; expected some of ids, w/],
    ['a feature of another shape', () => mixed({ inputs: { w: 'ids' } }), /'w' has shape \[.*1\]; the data set's feature 'ids' is \[N, 5\]/],
    ['a pattern that matches nothing', () => mixed({ freeze: ['body.*'] }), /model\.freeze: 'body\.\*' matches no parameter; expected .*emb\.weight/],
    ['nothing left to train', () => mixed({ freeze: ['*'] }), /nothing to train/],
    ['no such file', () => mixed({ onnx: 'none.onnx' }), /none\.onnx: there is no such file/],
    ['weights of another shape', () => functions({ weights: 'input.safetensors' }), /no initialiser or input 'w'/],
    ['an unknown field', () => mixed({ frozen: ['a'] }), /frozen/],
  ])('is refused before it runs: %s', async (_what, job, message) => {
    await expect(job().then((parsed) => checkJob(parsed))).rejects.toThrow(message);
  });
});
