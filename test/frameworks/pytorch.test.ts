import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { JobInput } from '../../contracts/job';
import { writeQuarters } from '../support/data';
import { startEngine, type Engine } from '../support/engine';
import { complete, frameworksPython, lossesOf, pythonModel } from '../support/frameworks';

jest.setTimeout(400_000);

const withNoise = `
from torch import nn
def model():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 16), nn.Dropout(0.2), nn.ReLU(), nn.Linear(16, 4))
`;
const plain = withNoise.replace(' nn.Dropout(0.2),', '');
const seed = 3;
/** What docs/python.md tells to do for the ONNX door. */
const exporting = (file: string) => `${plain}
import torch
torch.manual_seed(${seed})
torch.onnx.export(model(), (torch.zeros(2, 1, 8, 8),), ${JSON.stringify(file)}, dynamo=False, do_constant_folding=False,
    training=torch.onnx.TrainingMode.TRAINING, dynamic_axes={"x": {0: "n"}}, input_names=["x"])
`;

describe('a PyTorch program', () => {
  let engine: Engine;
  let data: string;
  beforeAll(async () => {
    engine = await startEngine();
    data = writeQuarters(join(engine.home, 'data', 'train'), 512, 1);
  });
  afterAll(() => engine?.close());
  const jobOf = (model: JobInput['model'], workers: number, stepsPerRound: number, changes: Partial<JobInput> = {}): JobInput => ({
    name: 'torch',
    data: { train: data },
    model,
    loss: 'softmax-cross-entropy',
    training: { steps: 24, batchSize: 64, lanes: 8, seed, optimizer: { kind: 'adam', learningRate: 0.01 } },
    allocation: { minWorkers: workers, maxWorkers: workers, stepsPerRound, memoryMib: 1_769 },
    ...changes,
  });

  it('trains to the same weights on 1, 2 and 3 workers, and when a function is killed', async () => {
    const model = pythonModel(engine.home, 'noise', withNoise);
    const one = await complete(engine, 'one', jobOf(model, 1, 12));
    expect(one.loss).toBeLessThan(1);
    expect((await complete(engine, 'two', jobOf(model, 2, 8))).weightsSha256).toBe(one.weightsSha256);
    expect((await complete(engine, 'three', jobOf(model, 3, 24))).weightsSha256).toBe(one.weightsSha256);
    await engine.setFaults([{ function: 'smlt-python-train-*', payload: { worker: 1 }, nth: 1, times: 2, action: { kind: 'kill', afterMs: 40 } }]);
    const killed = await complete(engine, 'killed', jobOf(model, 2, 6));
    await engine.setFaults([]);
    expect((await engine.bills()).filter(({ kind }) => kind === 'crashed').length).toBeGreaterThan(0);
    expect(killed.weightsSha256).toBe(one.weightsSha256);
  });

  it('has the loss curve of the same model through its ONNX export', async () => {
    const file = join(engine.home, 'model.onnx');
    execFileSync(frameworksPython, ['-c', exporting(file)], { stdio: ['ignore', 'ignore', 'pipe'] });
    await complete(engine, 'python-door', jobOf(pythonModel(engine.home, 'plain', plain), 2, 12));
    await complete(engine, 'onnx-door', jobOf({ onnx: pathToFileURL(file).href }, 2, 12));
    const [python, onnx] = [await lossesOf(engine, 'python-door'), await lossesOf(engine, 'onnx-door')];
    expect(python).toHaveLength(24);
    python.forEach((loss, step) => expect(Math.abs(loss - onnx[step]!) / loss).toBeLessThan(1e-3 * (1 + step / 4)));
    expect(Math.abs(python[0]! - onnx[0]!) / python[0]!).toBeLessThan(1e-6);
  });
});
