/** @jest-environment ./test/support/native-arrays.ts */
import type { Loss } from '../../contracts/loss';
import type { Optimizer } from '../../contracts/optimizer';
import { floatsOf } from '../../functions/bytes';
import { readProgram } from '../../functions/program';
import { laneBatches, lanePartitions, laneSamples, microBatchesOf } from '../../training/lanes';
import { classes, Rig, type RigOptions } from './rig';

const SEED = 11;
const STEPS = 4;
const plain: Optimizer = { kind: 'sgd', learningRate: 1, momentum: 0, nesterov: false, weightDecay: 0 };

interface Sample {
  readonly features: Float32Array;
  readonly target: number;
}

/** Sums of the gradient of a linear softmax classifier, weights `[classes, inputs]` and then biases; and what the samples weigh. */
function gradientOf(params: Float64Array, samples: readonly Sample[], weights: readonly number[]): { gradient: Float64Array; weight: number } {
  const inputs = params.length / classes - 1;
  const gradient = new Float64Array(params.length);
  let weight = 0;
  for (const { features, target } of samples) {
    const scores = Array.from({ length: classes }, (_, k) =>
      features.reduce((sum, x, i) => sum + x * params[k * inputs + i]!, params[classes * inputs + k]!),
    );
    const total = scores.reduce((sum, score) => sum + Math.exp(score), 0);
    weight += weights[target]!;
    scores.forEach((score, k) => {
      const d = weights[target]! * (Math.exp(score) / total - (k === target ? 1 : 0));
      features.forEach((x, i) => (gradient[k * inputs + i]! += d * x));
      gradient[classes * inputs + k]! += d;
    });
  }
  return { gradient, weight };
}

/** The lanes' differences from where they started, averaged by what their samples weigh. */
function outerGradient(start: Float64Array, lanes: readonly Sample[][][], weights: readonly number[], learningRate: number): Float64Array {
  const sum = new Float64Array(start.length);
  let total = 0;
  for (const micros of lanes) {
    const end = start.slice();
    let counted = 0;
    for (const samples of micros) {
      const { gradient, weight } = gradientOf(end, samples, weights);
      if (weight > 0) gradient.forEach((g, i) => (end[i]! -= (learningRate * g) / weight));
      counted += weight;
    }
    end.forEach((value, i) => (sum[i]! += counted * (start[i]! - value)));
    total += counted;
  }
  return sum.map((value) => value / total);
}

describe('three local steps on micro-batches of two samples and of one', () => {
  const cases: [string, Loss, number[]][] = [
    ['a mean over samples', 'softmax-cross-entropy', [1, 1, 1, 1]],
    // A third of the micro-batches have nothing that counts.
    ['a weighted mean', { kind: 'softmax-cross-entropy', classWeights: [0, 2, 1, 0.5], labelSmoothing: 0 }, [0, 2, 1, 0.5]],
  ];
  it.each(cases)('come to what a float64 loop comes to, under %s, with DiLoCo’s outer optimiser', async (_, loss, weights) => {
    const localSteps = { steps: 3, learningRate: 0.2 };
    const [learningRate, momentum] = [0.7, 0.9];
    const optimizer: Optimizer = { kind: 'sgd', learningRate, momentum, nesterov: true, weightDecay: 0 };
    const rig = await Rig.open({ layers: [{ dense: classes }], loss, localSteps, optimizer });
    const { batchSize, lanes, samples } = rig.options;
    const program = await readProgram(rig.store, rig.programDigest);
    const params = Float64Array.from(floatsOf(await rig.store.get(program.initialParams)));
    const initial = params.slice();
    const velocity = new Float64Array(params.length);
    const all = await rig.samples(0, samples);
    const partitions = lanePartitions(samples, lanes);
    for (let step = 0; step < STEPS; step++) {
      const drawn = laneBatches(batchSize, lanes).map((batch, lane) => {
        const share = [...laneSamples({ seed: SEED, lane, partition: partitions[lane]!, batch, position: step * batch })].map((i) => all[i]!);
        return microBatchesOf(batch, localSteps.steps).map((size) => share.splice(0, size));
      });
      outerGradient(params, drawn, weights, localSteps.learningRate).forEach((g, i) => {
        velocity[i] = momentum * velocity[i]! + g;
        params[i]! -= learningRate * (g + momentum * velocity[i]!);
      });
    }
    const track = rig.track('local');
    await track.round({ workers: 3, steps: STEPS });
    const got = (await track.weights()).params;
    await rig.close();
    expect(largestDifference(params, initial)).toBeGreaterThan(0.1);
    expect(largestDifference(got, params)).toBeLessThan(2e-6);
  });
});

it('one local step, averaged, is a step of plain SGD', async () => {
  const weightsWith = async (options: RigOptions) => {
    const rig = await Rig.open({ batchSize: 30, ...options });
    const track = rig.track('track');
    await track.round({ workers: 2, steps: STEPS });
    const { params } = await track.weights();
    await rig.close();
    return params;
  };
  const sgd = await weightsWith({ optimizer: { ...plain, learningRate: 0.2 } });
  const local = await weightsWith({ optimizer: plain, localSteps: { steps: 1, learningRate: 0.2 } });
  const two = await weightsWith({ optimizer: plain, localSteps: { steps: 2, learningRate: 0.2 } });
  expect(largestDifference(sgd, local)).toBeLessThan(1e-6);
  expect(largestDifference(sgd, two)).toBeGreaterThan(1e-3);
});

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0);
