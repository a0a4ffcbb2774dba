/** @jest-environment ./test/support/native-arrays.ts */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { names } from '../../contracts/names';
import { ExportAnswer, PrepareAnswer } from '../../contracts/functions';
import { exportModel, evaluate, predict, prepare, train } from '../../functions';
import { sha256Of } from '../../functions/bytes';
import { evaluateWeights } from '../../functions/evaluate';
import type { ErrorAnswer } from '../../functions/handler';
import { decodeSafetensors } from '../../training/safetensors';
import { classes, featureShape, Rig, smallModel, type Track } from './rig';

const context = { getRemainingTimeInMillis: () => 900_000 };
/** The answer of a handler that understood its payload. */
function answered<T extends object>(answer: T | ErrorAnswer): T {
  if ('error' in answer) throw new Error(JSON.stringify(answer.error));
  return answer;
}

let rig: Rig;
let track: Track;
beforeAll(async () => {
  rig = await Rig.open({ samples: 200, batchSize: 40, layers: [{ dense: 64 }, 'batchNorm', 'relu', { dropout: 0.2 }, { dense: classes }] });
  track = rig.track('train');
  await track.round({ workers: 2, steps: 30 });
});
afterAll(() => rig.close());
const weights = () => ({ run: 'run', track: 'train', round: track.lastRound });
const evaluateRequest = (start: number, end: number, saveOutputs = 0) => ({
  storeUri: rig.store.uri,
  programDigest: rig.programDigest,
  weights: weights(),
  dataUri: rig.dataUri,
  start,
  end,
  saveOutputs,
});

describe('prepare', () => {
  const request = () => ({
    storeUri: rig.store.uri,
    model: { layers: smallModel },
    loss: 'softmax-cross-entropy',
    dataUri: rig.dataUri,
    seed: 1,
    laneBatches: [4],
  });

  it('stores the same program under the same digest when it runs twice at once', async () => {
    const [first, second] = (await Promise.all([prepare(request(), context), prepare(request(), context)])).map(answered);
    expect(PrepareAnswer.parse(first)).toEqual(second);
    const stored = JSON.parse(Buffer.from(await rig.store.get(names.program(answered(first!).programDigest, 'program.json'))).toString());
    expect(stored).toMatchObject({ digest: first!.programDigest, paramCount: first!.paramCount, featureShape });
    for (const file of [stored.forwardGraph, stored.initialParams, stored.trainingGraphs[4]]) expect(await rig.store.head(file)).toBeDefined();
  });

  it('times a gradient once: a larger model takes longer, and who asks again gets the same answer', async () => {
    const layers = ['flatten', { dense: 2_048 }, 'relu', { dense: 2_048 }, 'relu', { dense: 4 }];
    const [small, large, again] = [request(), { ...request(), model: { layers } }, request()];
    const msOf = async (each: object) => answered(await prepare(each, context)).gradientMsPerSample!;
    const smallMs = await msOf(small);
    expect(await msOf(large)).toBeGreaterThan(2 * smallMs);
    expect(await msOf(again)).toBe(smallMs);
  });

  it('gives another seed another digest', async () => {
    const [first, second] = [await prepare(request(), context), await prepare({ ...request(), seed: 2 }, context)].map(answered);
    expect(first!.programDigest).not.toBe(second!.programDigest);
  });

  it.each([
    ['a loss that does not fit the data', { loss: 'mse' }, 'InvalidSpec', /mse/],
    ['a model whose output does not fit', { model: { layers: [{ dense: 3 }] } }, 'InvalidSpec', /4 classes/],
    ['a data set that is not there', { dataUri: 'file:///nowhere/at/all' }, 'BadData', /nowhere/],
    ['an unknown loss', { loss: 'cross-entropy' }, 'InvalidSpec', /loss/],
  ])('refuses %s with an answer', async (_, change, code, message) => {
    const answer = await prepare({ ...request(), ...change }, context);
    expect(answer).toMatchObject({ error: { code, message: expect.stringMatching(message) } });
  });

  it('refuses data that is no longer what the manifest says', async () => {
    const broken = await Rig.open();
    const path = fileURLToPath(`${broken.dataUri}/shard-00002.safetensors`);
    const bytes = await readFile(path);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(path, bytes);
    const answer = await prepare({ ...request(), dataUri: broken.dataUri }, context);
    expect(answer).toMatchObject({ error: { code: 'BadData', message: expect.stringMatching(/shard-00002.*expected SHA-256/) } });
    await broken.close();
  });
});

describe('evaluate', () => {
  it('gives sums that do not depend on how the samples were shared out', async () => {
    const whole = answered(await evaluate(evaluateRequest(0, 200), context));
    const parts = await Promise.all([evaluate(evaluateRequest(0, 70), context), evaluate(evaluateRequest(70, 200), context)]);
    const samples = parts.map(answered).reduce((sum, { sums }) => sum + sums.samples, 0);
    const correct = parts.map(answered).reduce((sum, { sums }) => sum + sums.correct, 0);
    expect(samples).toBe(whole.sums.samples);
    expect(correct).toBe(whole.sums.correct);
  });

  it('finds that 30 steps of training have taught the model most of its task', async () => {
    const { sums } = answered(await evaluate(evaluateRequest(0, 200), context));
    expect(sums.correct / sums.decisions).toBeGreaterThan(0.8);
  });

  it('refuses samples that the data set does not have', async () => {
    expect(await evaluate(evaluateRequest(100, 201), context)).toMatchObject({ error: { code: 'InvalidSpec' } });
  });

  it('refuses a data set of other shapes than the one trained on', async () => {
    const other = await Rig.open({ loss: 'mse', layers: [{ dense: 2 }] });
    const answer = await evaluate({ ...evaluateRequest(0, 10), dataUri: other.dataUri }, context);
    expect(answer).toMatchObject({ error: { code: 'BadData' } });
    await other.close();
  });
});

describe('export and predict', () => {
  const card = { job: 'a test', costUsd: 0 };
  const exported = async () =>
    ExportAnswer.parse(
      answered(await exportModel({ storeUri: rig.store.uri, programDigest: rig.programDigest, weights: weights(), name: 'small', card }, context)),
    );

  it('writes a model whose version, weights and card belong together, twice the same', async () => {
    const first = await exported();
    expect(await exported()).toEqual(first);
    expect(first.weightsSha256).toBe(await track.weightsSha256());
    const model = await rig.store.get(names.model('small', first.version, 'model.onnx'));
    expect(sha256Of([model]).slice(0, 12)).toBe(first.version);
    const stored = JSON.parse(Buffer.from(await rig.store.get(names.model('small', first.version, 'model-card.json'))).toString());
    expect(stored).toMatchObject({ ...card, version: first.version, weightsSha256: first.weightsSha256 });
  });

  it('writes the trained weights under their names as safetensors', async () => {
    const { version } = await exported();
    const { tensors } = decodeSafetensors(await rig.store.get(names.model('small', version, 'model.safetensors')));
    const { params, buffers } = await track.weights();
    const total = [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
    expect(total).toBe(params.length + buffers.length);
  });

  it('answers what evaluation gave for the same samples, to five decimals', async () => {
    const { version } = await exported();
    Object.assign(process.env, { SMLT_STORE_URI: rig.store.uri, SMLT_MODEL_NAME: 'small', SMLT_MODEL_VERSION: version });
    const { outputs, sums } = await evaluateWeights(rig.world, evaluateRequest(0, 20, 20));
    const inputs = (await rig.samples(0, 20)).map(({ features }) => Array.from(features));
    const answer = answered(await predict({ inputs }, context));
    expect(answer.outputs).toHaveLength(20);
    answer.outputs.forEach((output, i) => output.forEach((value, j) => expect(value).toBeCloseTo(outputs[i]![j]!, 5)));
    expect(answer.version).toBe(version);
    expect(answer.classes).toHaveLength(20);
    expect(sums.samples).toBe(20);
  });

  it('refuses an input of the wrong length, naming it', async () => {
    const { version } = await exported();
    Object.assign(process.env, { SMLT_STORE_URI: rig.store.uri, SMLT_MODEL_NAME: 'small', SMLT_MODEL_VERSION: version });
    const answer = await predict({ inputs: [new Array(16).fill(0), [1, 2]] }, context);
    expect(answer).toMatchObject({ error: { code: 'BadData', message: expect.stringMatching(/input 1: expected 16 numbers .* got 2/) } });
  });
});

describe('train', () => {
  it('answers a payload it cannot read with what is wrong with it', async () => {
    expect(await train({ run: 'x' }, context)).toMatchObject({ error: { code: 'InvalidSpec', message: expect.stringMatching(/storeUri/) } });
  });

  it('answers a plan that is not there as an error that may be tried again', async () => {
    const answer = await train({ storeUri: rig.store.uri, run: 'run', track: 'none', round: 0, worker: 0, memoryMib: 512 }, context);
    expect(answer).toMatchObject({ error: { code: 'ObjectMissing' } });
  });

  it('refuses a worker that the round does not have', async () => {
    const other = rig.track('two-workers');
    const plan = await other.plan({ workers: 2, steps: 1 });
    const answer = await train({ storeUri: rig.store.uri, run: plan.run, track: plan.track, round: 0, worker: 2, memoryMib: 512 }, context);
    expect(answer).toMatchObject({ error: { code: 'InvalidSpec', message: expect.stringMatching(/expected 0 to 1/) } });
  });

  it('runs a whole round through the real stores that its plan names', async () => {
    const other = rig.track('by-uri');
    const plan = await other.plan({ workers: 1, steps: 30 });
    const answer = answered(await train({ storeUri: rig.store.uri, run: plan.run, track: plan.track, round: 0, worker: 0, memoryMib: 512 }, context));
    expect(answer).toMatchObject({ kind: 'done' });
    await other.commit(plan);
    expect(await other.weightsSha256()).toBe(await track.weightsSha256());
  });

  it('refuses data that changed since the run was started', async () => {
    const other = rig.track('other-data');
    const plan = await other.plan({ workers: 1, steps: 1, change: { recipeBody: { dataSha256: 'another-digest' } } });
    const answer = await train({ storeUri: rig.store.uri, run: plan.run, track: plan.track, round: 0, worker: 0, memoryMib: 512 }, context);
    expect(answer).toMatchObject({ error: { code: 'BadData', message: expect.stringMatching(/was started with data/) } });
  });

  it('ends with Diverged where the loss is no number any more', async () => {
    const other = rig.track('wild');
    const optimizer = { kind: 'sgd', learningRate: 1e30, momentum: 0, nesterov: false, weightDecay: 0 } as const;
    const plan = await other.plan({ workers: 1, steps: 20, change: { recipeBody: { optimizer } } });
    const answer = await train({ storeUri: rig.store.uri, run: plan.run, track: plan.track, round: 0, worker: 0, memoryMib: 512 }, context);
    expect(answer).toMatchObject({ error: { code: 'Diverged', message: expect.stringMatching(/loss of step \d+/) } });
  });
});

describe('values from a host whose bits differ', () => {
  const changed = async (name: string, other: Track) => {
    const plan = await other.plan({ workers: 2, steps: 2, change: { reproducibility: name as 'bits' | 'values' } });
    // Somebody else has put a partial already, with one bit of the gradient changed.
    const first = names.partial(plan, 0, { start: 4, end: 8 }, { start: 0, end: plan.cut.rangeBorders[1]! });
    const probe = rig.track(`probe-${name}`);
    const probePlan = await probe.plan({ workers: 2, steps: 1 });
    await Promise.all([probe.invoke(probePlan, 0), probe.invoke(probePlan, 1)]);
    const bytes = (await rig.exchange.get(first.replace(other.name, probe.name)))!;
    bytes[0]! ^= 1;
    await rig.exchange.putValue(first, [bytes]);
    const turn = (worker: number) => train({ storeUri: rig.store.uri, run: plan.run, track: plan.track, round: 0, worker, memoryMib: 512 }, context);
    return Promise.all([turn(1), turn(0)]);
  };

  it('are refused as NotDeterministic where bits are promised', async () => {
    expect(await changed('bits', rig.track('bits'))).toContainEqual({ error: expect.objectContaining({ code: 'NotDeterministic' }) });
  });

  it('are taken over where only values are promised', async () => {
    expect(await changed('values', rig.track('values'))).toMatchObject([
      { kind: 'done', step: 2 },
      { kind: 'done', step: 2 },
    ]);
  });
});
