import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { checkJob } from '../../client/check-job';
import { packInto } from '../../client/data-pack';
import { readJobFile } from '../../client/job-file';
import type { JobInput } from '../../contracts/job';
import type { RawDataSet } from '../../training/data-set';

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'smlt-job-'));
  await pack('train', {});
  await pack('validation', { seed: 2 });
  await pack('wide', { features: Float32Array.from({ length: 192 }, (_, i) => i), featureShape: [3] });
  await pack('values', { kind: 'values', classes: undefined });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function pack(name: string, changes: Partial<RawDataSet>) {
  const features = Float32Array.from({ length: 128 }, (_, i) => i / 128);
  const targets = Int32Array.from({ length: 64 }, (_, i) => i % 2);
  return packInto(join(folder, 'data', name), {
    features,
    featureShape: [2],
    targets,
    kind: 'class',
    classes: 2,
    seed: 1,
    samplesPerShard: 48,
    ...changes,
  });
}

const good: JobInput = {
  name: 'points',
  data: { train: 'data/train', validation: 'data/validation' },
  model: { layers: [{ dense: 4 }, 'relu', { dense: 2 }] },
  loss: 'softmax-cross-entropy',
  training: { epochs: 1, batchSize: 32, lanes: 8, optimizer: { kind: 'sgd', learningRate: 0.1 } },
};

type Changes = { readonly [key: string]: unknown };
async function check(changes: Changes, text = JSON.stringify({ ...good, ...changes })) {
  const path = join(folder, 'job.json');
  writeFileSync(path, text);
  return checkJob(await readJobFile(path), Date.UTC(2026, 0, 1));
}
const tune = (parameters: Changes): Changes => ({ tune: { trials: 2, parameters } });
const training = (changes: Changes): Changes => ({ training: { ...good.training, ...changes } });

describe('a job file', () => {
  it('gives the same job as JSON and as YAML, with its paths made absolute', async () => {
    writeFileSync(join(folder, 'a.json'), JSON.stringify(good));
    writeFileSync(
      join(folder, 'a.yaml'),
      `name: points\ndata: { train: data/train, validation: data/validation }\nmodel: { layers: [{ dense: 4 }, relu, { dense: 2 }] }\nloss: softmax-cross-entropy\ntraining: { epochs: 1, batchSize: 32, lanes: 8, optimizer: { kind: sgd, learningRate: 0.1 } }\n`,
    );
    const job = await readJobFile(join(folder, 'a.json'));
    expect(await readJobFile(join(folder, 'a.yaml'))).toEqual(job);
    expect(job.data.train).toBe(pathToFileURL(join(folder, 'data', 'train')).href);
  });

  it('passes when it is right, and says how many steps and parameters it has', async () => {
    const { totalSteps, model } = await check({});
    expect({ totalSteps, paramCount: model.paramCount }).toEqual({ totalSteps: 2, paramCount: 2 * 4 + 4 + 4 * 2 + 2 });
  });

  // Each is refused with a code and words that name the place and what to do.
  const refused: [string, Changes, string, RegExp][] = [
    ['an unknown field', { modle: 1 }, 'InvalidSpec', /modle/],
    ['a wrong type', training({ epochs: 'five' }), 'InvalidSpec', /training\.epochs/],
    ['an unknown loss', { loss: 'cross-entropy' }, 'InvalidSpec', /softmax-cross-entropy, next-token, bce-with-logits.*\n.*loss/],
    ['an unknown optimiser', training({ optimizer: { kind: 'lamb', learningRate: 1 } }), 'InvalidSpec', /sgd, adam, adamw/],
    ['an unknown layer', { model: { layers: ['wibble'] } }, 'InvalidSpec', /wibble/],
    ['a model whose output does not fit the loss', { model: { layers: [{ dense: 3 }] } }, 'InvalidSpec', /\b3\b[^]*\b2\b|\b2\b[^]*\b3\b/],
    ['a batch smaller than the lanes', training({ batchSize: 4 }), 'InvalidSpec', /at least one sample a lane/],
    [
      'local steps without a sample',
      { synchronization: { localSteps: { steps: 9, learningRate: 0.1 } } },
      'InvalidSpec',
      /one sample a lane in each step: lower steps.*\n.*synchronization\.localSteps\.steps/,
    ],
    [
      'local steps beside micro-batches',
      { synchronization: { microBatches: 2, localSteps: { steps: 2, learningRate: 0.1 } } },
      'InvalidSpec',
      /leave out microBatches or localSteps/,
    ],
    [
      'local steps without a learning rate',
      { synchronization: { localSteps: { steps: 2 } } },
      'InvalidSpec',
      /synchronization\.localSteps\.learningRate/,
    ],
    [
      'local steps of an optimiser that lanes keep no state for',
      { synchronization: { localSteps: { steps: 2, learningRate: 0.1, optimizer: { kind: 'sgd' } } } },
      'InvalidSpec',
      /expected adamw; leave optimizer out for plain SGD.*\n.*synchronization\.localSteps\.optimizer\.kind/,
    ],
    ['lanes that are no power of two', training({ lanes: 6 }), 'InvalidSpec', /power of two/],
    ['a negative budget', { goal: { budgetUsd: -1 } }, 'InvalidSpec', /more than 0.*\n.*goal\.budgetUsd/],
    [
      'an hour worth nothing',
      { goal: { minimize: { usdPerHour: 0 } } },
      'InvalidSpec',
      /more than 0 dollars an hour.*\n.*goal\.minimize\.usdPerHour/,
    ],
    ['something else to minimise', { goal: { minimize: 'energy' } }, 'InvalidSpec', /cost, time, or .*usdPerHour/],
    ['a deadline in the past', { goal: { deadline: '2020-01-01T00:00:00Z' } }, 'InvalidSpec', /goal\.deadline: 2020-01-01T00:00:00Z is before now/],
    ['a deadline that is neither span nor instant', { goal: { deadline: 'tomorrow' } }, 'InvalidSpec', /10m/],
    ['a missing data set', { data: { train: 'data/nothing' } }, 'BadData', /data\.train: no data set at .*nothing/],
    ['a validation set of another shape', { data: { train: 'data/train', validation: 'data/wide' } }, 'BadData', /\[3\].*\[2\]/],
    ['values where labels are needed', { data: { train: 'data/values' } }, 'InvalidSpec', /needs class labels/],
    ['a missing ONNX file', { model: { onnx: 'none.onnx' } }, 'InvalidModel', /there is no such file/],
    ['rungs that do not rise', { tune: { trials: 2, rungs: [0.3, 0.1], parameters: { 'training.seed': { integer: [1, 9] } } } }, 'InvalidSpec', /rising shares.*\n.*tune\.rungs/], // prettier-ignore
    ['no rungs', { tune: { trials: 2, rungs: [], parameters: { 'training.seed': { integer: [1, 9] } } } }, 'InvalidSpec', /at least one share of the steps/], // prettier-ignore
    ['tuning without a validation set', { data: { train: 'data/train' }, tune: { trials: 2, parameters: { 'training.seed': { integer: [1, 9] } } } }, 'InvalidSpec', /data\.validation/], // prettier-ignore
    ['a requirement without a test set', { evaluate: { require: { accuracy: 0.9 } } }, 'InvalidSpec', /data\.test/],
    ['more lanes than samples', training({ batchSize: 128, lanes: 128 }), 'InvalidSpec', /128 lanes.*64/],
    [
      'a batch larger than the data',
      training({ batchSize: 65 }),
      'InvalidSpec',
      /training\.batchSize: a batch of 65 would hold samples twice.*64; expected at most 64/,
    ],
    [
      'a later batch larger than the data',
      training({ batchSchedule: [{ fromStep: 1, batchSize: 128 }] }),
      'InvalidSpec',
      /training\.batchSchedule\.0\.batchSize: a batch of 128/,
    ],
    [
      'a batch size that never comes',
      training({ batchSchedule: [{ fromStep: 9, batchSize: 64 }] }),
      'InvalidSpec',
      /fromStep: step 9 never comes, since the job has 2 steps/,
    ],
    ['a budget of zero', { goal: { budgetUsd: 0 } }, 'InvalidSpec', /more than 0.*\n.*goal\.budgetUsd/],
    ['a budget that rounds to zero', { goal: { budgetUsd: 1e-12 } }, 'InvalidSpec', /a nano-dollar.*\n.*goal\.budgetUsd/],
    ['a deadline of zero', { goal: { deadline: '0s' } }, 'InvalidSpec', /no time at all.*\n.*goal\.deadline/],
    [
      'more workers at least than at most',
      { allocation: { minWorkers: 4, maxWorkers: 2 } },
      'InvalidSpec',
      /at most maxWorkers.*\n.*allocation\.minWorkers/,
    ],
    ['no steps a round', { allocation: { stepsPerRound: 0 } }, 'InvalidSpec', /allocation\.stepsPerRound/],
    [
      'an unknown metric to train for',
      training({ until: { metric: 'validation.beauty', value: 1 } }),
      'InvalidSpec',
      /validation\. and one of.*\n.*training\.until\.metric/,
    ],
    [
      'a metric that the model does not have',
      training({ earlyStopping: { metric: 'validation.r2' } }),
      'InvalidSpec',
      /r2 is no measure of softmax-cross-entropy/,
    ],
    ['a target that no model reaches', training({ until: { metric: 'validation.accuracy', value: 90 } }), 'InvalidSpec', /training\.until\.value/],
    ['validations that nothing asks for', training({ validateEverySteps: 2 }), 'InvalidSpec', /nothing asks for validations/],
    ['a search for nothing', tune({}), 'InvalidSpec', /at least one parameter.*\n.*tune\.parameters/],
    ['an empty range', tune({ 'training.seed': { integer: [4, 4] } }), 'InvalidSpec', /low below high|\[low, high\]/],
    ['a search outside training', tune({ 'allocation.maxWorkers': { integer: [1, 4] } }), 'InvalidSpec', /expected a path under training/],
    [
      'a search of what is not there',
      tune({ 'training.optimiser.learningRate': { uniform: [0.1, 0.2] } }),
      'InvalidSpec',
      /the job has nothing at training\.optimiser\.learningRate/,
    ],
    [
      'a search of values that no job may have',
      tune({ 'training.optimizer.learningRate': { uniform: [-1, 1] } }),
      'InvalidSpec',
      /training\.optimizer\.learningRate may become -1, and then the job is not valid/,
    ],
    [
      'a search of lanes that batches cannot fill',
      tune({ 'training.lanes': { choice: [8, 64] } }),
      'InvalidSpec',
      /training\.lanes may become 64.*\n.*at least one sample a lane/,
    ],
    [
      'a search of an unknown compression',
      tune({ 'synchronization.compression.kind': { choice: ['none', 'zip'] } }),
      'InvalidSpec',
      /kind may become "zip"/,
    ],
  ];
  it.each(refused)('is refused for %s', async (_name, changes, code, words) => {
    await expect(check(changes)).rejects.toMatchObject({ name: 'SmltError', code, message: expect.stringMatching(words) });
  });

  it('is refused with every wrong field at once', async () => {
    const fault = await check({ ...training({ lanes: 6, batchSize: 0 }), loss: 'cross-entropy' }).catch((error: Error) => error.message);
    expect(fault).toMatch(/training\.lanes/);
    expect(fault).toMatch(/training\.batchSize/);
    expect(fault).toMatch(/loss/);
  });

  it('is refused with the data’s and the goal’s faults together', async () => {
    const fault = await check({ data: { train: 'data/nothing' }, goal: { deadline: '2020-01-01T00:00:00Z' } }).catch((error: Error) => error.message);
    expect(fault).toMatch(/2 things are wrong[^]*goal\.deadline[^]*data\.train/);
  });

  it.each([
    ['is not JSON', '{ "name": ', /is not JSON/],
    ['is empty', '', /is not JSON/],
    ['holds a list', '[]', /expected object/],
  ])('is refused when it %s', async (_name, text, words) => {
    await expect(check({}, text)).rejects.toMatchObject({ code: 'InvalidSpec', message: expect.stringMatching(words) });
  });

  it('is refused when it is not there', async () => {
    await expect(readJobFile(join(folder, 'nothing.json'))).rejects.toMatchObject({
      code: 'InvalidSpec',
      message: expect.stringMatching(/there is no such file/),
    });
  });

  it('is refused for a corrupt ONNX file', async () => {
    writeFileSync(join(folder, 'bad.onnx'), 'this is no protobuf');
    await expect(check({ model: { onnx: 'bad.onnx' } })).rejects.toMatchObject({ code: 'InvalidModel' });
  });

  it('is refused for a shard that was cut off, naming it', async () => {
    await pack('cut', {});
    truncateSync(join(folder, 'data', 'cut', 'shard-00001.safetensors'), 100);
    await expect(check({ data: { train: 'data/cut' } })).rejects.toMatchObject({ code: 'BadData', message: expect.stringMatching(/shard 1/) });
  });
});

describe('packing a data set', () => {
  it.each([
    ['a feature that is not a number', { features: Float32Array.of(1, NaN), targets: [0] }, /NaN/],
    ['a label out of range', { features: Float32Array.of(1, 2), targets: [2] }, /label 2/],
    ['no samples', { features: new Float32Array(0), targets: [] }, /empty/],
  ])('is refused for %s, and leaves nothing behind', async (_name, changes, words) => {
    await expect(pack('refused', changes)).rejects.toMatchObject({ code: 'BadData', message: expect.stringMatching(words) });
    expect(readdirSync(join(folder, 'data')).filter((name) => name.startsWith('refused'))).toEqual([]);
  });

  it('never replaces a folder that holds something else', async () => {
    const other = mkdtempSync(join(folder, 'other-'));
    writeFileSync(join(other, 'thesis.txt'), 'dear');
    const samples = {
      features: Float32Array.of(1, 2),
      featureShape: [2],
      targets: [0],
      kind: 'class',
      classes: 2,
      seed: 1,
      samplesPerShard: 8,
    } as const;
    await expect(packInto(other, samples)).rejects.toMatchObject({ code: 'BadData' });
    expect(readdirSync(other)).toEqual(['thesis.txt']);
  });
});
