/** @jest-environment ./test/support/native-arrays.ts */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Layer, Loss } from '../../contracts/model';
import type { Target } from '../../training/losses/target';
import { buildProgram } from '../../training/prepare';
import { openTraining } from '../../training/runtime';

interface Network {
  layers: Layer[];
  featureShape: number[];
  samples: number;
  loss: Loss;
  target: Target;
  features: number[];
  targets: number[];
  params: Record<string, number[]>;
  expected: { loss: number; gradients: Record<string, number[]>; statistics: Record<string, number[]> };
}
const { networks } = JSON.parse(readFileSync(join(__dirname, 'fixtures/torch.json'), 'utf8')) as { networks: Record<string, Network> };

/** Largest difference as a share of the largest expected value. */
function relativeError(got: ArrayLike<number>, expected: readonly number[]): number {
  const scale = Math.max(...expected.map(Math.abs), 1e-3);
  return Math.max(...expected.map((value, i) => Math.abs(value - (got[i] ?? NaN)))) / scale;
}

function expectBelow(what: string, error: number, bound: number): void {
  if (!(error < bound)) throw new Error(`${what}: relative error ${error}, expected below ${bound}`);
}

describe('a network from layers', () => {
  it.each(Object.entries(networks))('has the loss, gradients and batch statistics of PyTorch in float64: %s', async (_name, network) => {
    const { layers, featureShape, samples, loss, target, expected } = network;
    const { program, files } = buildProgram({ model: { layers }, loss, featureShape, target, seed: 1, laneBatches: [samples] });
    expect(program.params.map(({ name }) => name).sort()).toEqual(Object.keys(network.params).sort());
    const params = new Float32Array(program.paramCount);
    for (const { name, offset, length } of program.params) {
      expect(network.params[name]).toHaveLength(length);
      params.set(network.params[name] ?? [], offset);
    }
    const session = await openTraining(files.get(`training-${samples}.onnx`)!, program, samples);
    const into = new Float32Array(program.paramCount + program.bufferCount + 1);
    const targets = target.kind === 'class' ? Int32Array.from(network.targets) : Float32Array.from(network.targets);
    await session.run({ params, features: Float32Array.from(network.features), targets, noise: [], into });

    expect(Math.abs(into.at(-1)! - expected.loss) / expected.loss).toBeLessThan(1e-6);
    for (const { name, offset, length } of program.params) {
      // A bias before batch normalisation has no influence: its gradient is nothing but rounding, on either side.
      const [got, wanted] = [into.subarray(offset, offset + length), expected.gradients[name]!];
      if (Math.max(...wanted.map(Math.abs)) < 1e-9) expect(Math.max(...got.map(Math.abs))).toBeLessThan(1e-5);
      else expectBelow(`gradient of ${name}`, relativeError(got, wanted), 5e-6);
    }
    for (const { name, offset, length } of program.buffers) {
      const sums = into.subarray(program.paramCount + offset, program.paramCount + offset + length);
      const means = sums.map((value) => value / samples);
      expectBelow(`statistic ${name}`, relativeError(means, expected.statistics[name]!), 1e-6);
    }
  });
});
