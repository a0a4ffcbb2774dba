import { execFileSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readSamples } from '../../client/data-sets';
import { readJobFile } from '../../client/job-file';
import { uploadModel } from '../../client/onnx-file';
import { predict } from '../../client/predict';
import type { Job } from '../../contracts/job';
import { names } from '../../contracts/names';
import type { RunRecord, TrackResult } from '../../contracts/pipeline';
import type { RoundManifest } from '../../contracts/round';
import { sha256Of } from '../../functions/bytes';
import { startEngine, type Engine } from '../support/engine';

/* examples/onnx: a graph by PyTorch with two inputs of whole numbers, BatchNormalization, Dropout and a loss of its own. */
jest.setTimeout(240_000);
const example = resolve('examples/onnx');
let engine: Engine;
let job: Job;
let data: string;
beforeAll(async () => {
  engine = await startEngine({ functionTimeoutMs: 24_000 });
  data = join(engine.home, 'data');
  execFileSync(process.execPath, [join(example, 'make-data.mjs'), data]);
  const uri = (name: string) => pathToFileURL(join(data, name)).href;
  const said = await uploadModel(await readJobFile(join(example, 'job.json')), engine.store);
  job = { ...said, data: { train: uri('train'), validation: uri('validation'), test: uri('test') } };
});
afterAll(() => engine?.close());

it('is trained, evaluated, deployed and asked, and the answers are those that were evaluated', async () => {
  const record = await engine.run<RunRecord>('pipeline', 'ratings', { job });
  expect(record.status).toBe('completed');
  expect(record.metrics!.r2).toBeGreaterThan(0.7);
  // Its own loss adds the embeddings' squares to the squared error.
  const squaredError = record.metrics!.rmse! ** 2;
  expect(record.metrics!.loss! - squaredError).toBeGreaterThan(1e-4);
  expect(record.metrics!.loss! - squaredError).toBeLessThan(0.1);

  const { inputs, targets } = await readSamples(pathToFileURL(join(data, 'test')).href, 0, 256);
  const answer = await predict('ratings', inputs, { endpoint: engine.lambdaEndpoint });
  const errors = answer.outputs.map(([rating], i) => (rating! - targets[i]![0]!) ** 2);
  expect(errors.reduce((sum, error) => sum + error, 0) / errors.length).toBeLessThan(2 * squaredError);
});

describe('its weights', () => {
  const ofWorkers = (workers: number): Job => ({
    ...job,
    training: { ...job.training, epochs: undefined, steps: 24 },
    allocation: { minWorkers: workers, maxWorkers: workers, stepsPerRound: 8 },
  });
  async function weightsOf(result: Promise<TrackResult>): Promise<string> {
    const { outcome, weights } = await result;
    expect(outcome).toBe('completed');
    const manifest = JSON.parse(Buffer.from(await engine.store.get(names.manifest(weights!, weights!.round))).toString()) as RoundManifest;
    // Ranges differ with the number of workers; the vector that they make must not.
    const start = ({ name }: { name: string }) => Number(/params\/(\d+)-/.exec(name)?.[1] ?? NaN);
    const ranges = manifest.objects.filter((object) => !Number.isNaN(start(object))).sort((a, b) => start(a) - start(b));
    expect(ranges.length).toBeGreaterThan(0);
    return sha256Of(await Promise.all(ranges.map(({ name }) => engine.store.get(name))));
  }
  const train = (run: string, workers: number) => weightsOf(engine.run<TrackResult>('train', run, { job: ofWorkers(workers) }));

  it('are the same bits by one worker, by three, and when instances and the Temporal worker are killed', async () => {
    const alone = await train('alone', 1);
    expect(await train('three', 3)).toBe(alone);

    const strike = (worker: number, point: string) => ({
      function: 'smlt-train-*',
      payload: { run: 'killed', worker, round: worker },
      action: { kind: 'killAt', point },
    });
    await engine.setFaults([strike(0, 'beforePut'), strike(1, 'betweenPuts')]);
    const handle = await engine.start('train', 'killed', { job: ofWorkers(3) });
    while ((await engine.faultCounts()).every(({ fired }) => fired === 0)) await new Promise((done) => setTimeout(done, 50));
    engine.killWorker();
    await engine.restartWorker();
    expect(await weightsOf(handle.result() as Promise<TrackResult>)).toBe(alone);
    expect((await engine.faultCounts()).map(({ fired }) => fired)).toEqual([1, 1]);
  });
});
