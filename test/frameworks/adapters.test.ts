import { join } from 'node:path';
import type { JobInput } from '../../contracts/job';
import { predict } from '../../client/predict';
import { writeQuarters } from '../support/data';
import { startEngine, type Engine } from '../support/engine';
import { complete, lossesOf, pythonModel } from '../support/frameworks';

jest.setTimeout(400_000);

const programs: Readonly<Record<string, string>> = {
  keras: `
import keras
def model():
    return keras.Sequential([
        keras.layers.Flatten(), keras.layers.Dense(16), keras.layers.BatchNormalization(),
        keras.layers.ReLU(), keras.layers.Dropout(0.1), keras.layers.Dense(4)])
`,
  jax: `
import jax, jax.numpy as jnp
def init(key):
    a, b = jax.random.split(key)
    return {"hidden": jax.random.normal(a, (64, 16)) / 8, "out": jax.random.normal(b, (16, 4)) / 4, "bias": jnp.zeros(4)}
def apply(params, x, key, train):
    hidden = jax.nn.relu(x.reshape(x.shape[0], -1) @ params["hidden"])
    if train:
        hidden = hidden * jax.random.bernoulli(key, 0.9, hidden.shape) / 0.9
    return hidden @ params["out"] + params["bias"]
`,
  'scikit-learn': `
from sklearn.neural_network import MLPClassifier
model = MLPClassifier(hidden_layer_sizes=(16,))
`,
  numpy: `
import numpy as np
from smlt import Evaluation, Gradient, Parameters

class Softmax:
    def parameters(self, seed):
        return Parameters({"w": np.zeros((64, 4), np.float32), "b": np.zeros(4, np.float32)})

    def gradient(self, weights, batch, at):
        x = batch.features.reshape(batch.samples, -1)
        p, loss = self._losses(weights, batch)
        p[np.arange(batch.samples), batch.targets] -= 1
        return Gradient(loss, {"w": x.T @ p, "b": p.sum(axis=0)})

    def evaluate(self, weights, batch):
        return Evaluation(self.predict(weights, batch.features), self._losses(weights, batch)[1])

    def predict(self, weights, features):
        return features.reshape(len(features), -1) @ weights["w"] + weights["b"]

    def _losses(self, weights, batch):
        z = self.predict(weights, batch.features)
        z = z - z.max(axis=1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        return np.exp(log_p), float(-log_p[np.arange(batch.samples), batch.targets].sum())

program = Softmax()
`,
};
const ownLoss = new Set(['scikit-learn', 'numpy']);

describe('programs of other frameworks', () => {
  let engine: Engine;
  let data: string;
  beforeAll(async () => {
    engine = await startEngine();
    data = writeQuarters(join(engine.home, 'data', 'train'), 512, 1);
  });
  afterAll(() => engine?.close());

  it.each(Object.keys(programs))('%s: trains to the same weights on one, two and three functions, evaluates, deploys and predicts', async (name) => {
    const model = pythonModel(engine.home, name, programs[name]!);
    const jobOf = (workers: number, stepsPerRound: number): JobInput => ({
      name,
      data: { train: data },
      model,
      loss: ownLoss.has(name) ? 'program' : 'softmax-cross-entropy',
      training: { steps: 30, batchSize: 64, lanes: 8, seed: 3, optimizer: { kind: 'adam', learningRate: 0.02 } },
      allocation: { minWorkers: workers, maxWorkers: workers, stepsPerRound, memoryMib: 2_560 },
    });
    const record = await complete(engine, name, { ...jobOf(2, 15), deploy: { name } });
    expect((await complete(engine, `${name}-one`, jobOf(1, 30))).weightsSha256).toBe(record.weightsSha256);
    expect((await complete(engine, `${name}-three`, jobOf(3, 10))).weightsSha256).toBe(record.weightsSha256);
    const losses = await lossesOf(engine, name);
    expect(losses).toHaveLength(30);
    expect(losses.at(-1)!).toBeLessThan(losses[0]! / 2);
    expect(record.metrics?.accuracy).toBeGreaterThan(0.8);
    expect(record.modelUri).toMatch(/model\.safetensors$/);
    const answer = await predict(name, [new Array<number>(64).fill(0.5)], { endpoint: engine.lambdaEndpoint });
    expect(answer.outputs[0]).toHaveLength(4);
  });
});
