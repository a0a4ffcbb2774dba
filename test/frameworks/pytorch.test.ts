import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { mkdirSync, writeFileSync } from 'node:fs';
import type { RunRecord } from '../../contracts/pipeline';
import { writeQuarters } from '../support/data';
import { startEngine, type Engine } from '../support/engine';
import { frameworksPython } from '../support/frameworks';

jest.setTimeout(300_000);

const program = `
from torch import nn
def model():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 16), nn.Dropout(0.2), nn.ReLU(), nn.Linear(16, 4))
`;

describe('a PyTorch program', () => {
  let engine: Engine;
  let job: (allocation: object, changes?: object) => object;
  beforeAll(async () => {
    engine = await startEngine();
    const data = writeQuarters(join(engine.home, 'data', 'train'), 512, 1);
    mkdirSync(join(engine.home, 'program'));
    const path = join(engine.home, 'program', 'program.py');
    writeFileSync(path, program);
    job = (allocation, changes = {}) => ({
      name: 'torch',
      data: { train: data },
      model: { python: pathToFileURL(path).href, interpreter: frameworksPython },
      loss: 'softmax-cross-entropy',
      training: { steps: 24, batchSize: 64, lanes: 8, seed: 3, optimizer: { kind: 'adam', learningRate: 0.01 } },
      allocation,
      ...changes,
    });
  });
  afterAll(() => engine?.close());

  async function train(run: string, spec: object): Promise<RunRecord> {
    const record = await engine.run<RunRecord>('pipeline', run, { job: spec });
    expect(`${record.status}: ${record.reason}`).toMatch(/^completed/);
    return record;
  }

  it('trains to the same weights on 1, 2 and 3 workers, and when a function is killed', async () => {
    const one = await train('one', job({ minWorkers: 1, maxWorkers: 1, stepsPerRound: 12 }));
    expect(one.loss).toBeLessThan(1);
    const two = await train('two', job({ minWorkers: 2, maxWorkers: 2, stepsPerRound: 8 }));
    expect(two.weightsSha256).toBe(one.weightsSha256);
    const three = await train('three', job({ minWorkers: 3, maxWorkers: 3, stepsPerRound: 24 }));
    expect(three.weightsSha256).toBe(one.weightsSha256);
    await engine.setFaults([{ function: 'smlt-python-train-*', payload: { worker: 1 }, nth: 1, times: 2, action: { kind: 'kill', afterMs: 40 } }]);
    const killed = await train('killed', job({ minWorkers: 2, maxWorkers: 2, stepsPerRound: 6 }));
    await engine.setFaults([]);
    expect((await engine.bills()).filter(({ kind }) => kind === 'crashed').length).toBeGreaterThan(0);
    expect(killed.weightsSha256).toBe(one.weightsSha256);
  });
});
