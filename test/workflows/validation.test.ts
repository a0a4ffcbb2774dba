import { join } from 'node:path';
import type { RunRecord } from '../../contracts/pipeline';
import { startEngine, type Engine } from '../support/engine';
import { writeQuarters } from '../support/data';

jest.setTimeout(120_000);

describe('training that ends by what is seen on validation data', () => {
  let engine: Engine;
  let data: { train: string; validation: string };
  beforeAll(async () => {
    engine = await startEngine();
    const at = (split: string) => join(engine.home, 'data', split);
    data = { train: writeQuarters(at('train'), 512, 1), validation: writeQuarters(at('validation'), 128, 2) };
  });
  afterAll(() => engine?.close());

  const jobOf = (training: object) => ({
    name: 'quarters',
    data,
    model: { layers: [{ conv2d: { filters: 4, kernel: 3 } }, 'relu', 'flatten', { dense: 16 }, 'relu', { dense: 4 }] },
    loss: 'softmax-cross-entropy',
    training: { steps: 200, batchSize: 64, lanes: 16, seed: 3, optimizer: { kind: 'adam', learningRate: 0.01 }, ...training },
    allocation: { minWorkers: 2, maxWorkers: 2 },
  });
  const run = async (id: string, training: object): Promise<RunRecord> => {
    const record = await engine.run<RunRecord>('pipeline', id, { job: jobOf(training) });
    expect(`${record.status}: ${record.reason}`).toMatch(/^completed/);
    return record;
  };

  it('ends at the first validation that reaches the target, and says so in the journal', async () => {
    const record = await run('until', { until: { metric: 'validation.accuracy', value: 0.9 } });
    const values = record.validations.map(({ values: { 'validation.accuracy': accuracy } }) => accuracy!);
    expect(record.step).toBeLessThan(200);
    expect(record.step % 8).toBe(0); // an epoch is 8 steps
    expect(values.at(-1)).toBeGreaterThanOrEqual(0.9);
    expect(values.slice(0, -1).every((value) => value < 0.9)).toBe(true);
    expect(record.journal.map(({ reason }) => reason).join()).toContain('wanted 0.9');
  });

  it('goes back to the best weights when patience ends: those of a run that ends at the best step', async () => {
    const earlyStopping = { metric: 'validation.loss', patience: 3, minDelta: 0.02 };
    const stopped = await run('patience', { earlyStopping, validateEverySteps: 10 });
    const best = stopped.validations.at(-4)!.step;
    expect(stopped.step).toBeLessThan(200);
    expect(stopped.step).toBe(best + 30);
    const exact = await run('exact', { steps: best });
    expect(stopped.weightsSha256).toBe(exact.weightsSha256);
  });

  it('trains to its last step where the target is not reached, and keeps the best weights', async () => {
    const record = await run('unreached', { steps: 20, until: { metric: 'validation.loss', value: 0 }, validateEverySteps: 15 });
    expect(record.step).toBe(20);
    expect(record.validations.map(({ step }) => step)).toEqual([15, 20]);
  });

  it('is refused without validation data, before anything is spent', async () => {
    const job = { ...jobOf({ earlyStopping: {} }), data: { train: data.train } };
    const refused = engine.run('pipeline', 'blind', { job });
    await expect(refused).rejects.toMatchObject({ cause: { message: expect.stringMatching(/add a validation set/) as string } });
    expect((await engine.bills()).filter((bill) => JSON.stringify(bill).includes('blind'))).toEqual([]);
  });
});
