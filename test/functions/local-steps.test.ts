/** @jest-environment ./test/support/native-arrays.ts */
import type { Loss } from '../../contracts/loss';
import type { Optimizer } from '../../contracts/optimizer';
import type { LocalSteps } from '../../contracts/synchronization';
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

type Inner = (params: Float64Array, mean: Float64Array, at: { readonly lane: number; readonly part: number; readonly step: number }) => void;

/** The lanes' differences from where they started, averaged by what their samples weigh. */
function outerGradient(start: Float64Array, lanes: readonly Sample[][][], options: { weights: readonly number[]; inner: Inner; step: number }) {
  const { weights, inner, step } = options;
  const sum = new Float64Array(start.length);
  let total = 0;
  for (const [lane, micros] of lanes.entries()) {
    const end = start.slice();
    let counted = 0;
    for (const [part, samples] of micros.entries()) {
      const { gradient, weight } = gradientOf(end, samples, weights);
      if (weight > 0) inner(end, gradient.map((g) => g / weight), { lane, part, step }); // prettier-ignore
      counted += weight;
    }
    end.forEach((value, i) => (sum[i]! += counted * (start[i]! - value)));
    total += counted;
  }
  return sum.map((value) => value / total);
}

/** Loshchilov and Hutter 2019; each lane has moments of its own, and all of a lane's steps count. */
function adamW(steps: number, settings: { rate: number; beta1: number; beta2: number; epsilon: number; weightDecay: number }): Inner {
  const { rate, beta1, beta2, epsilon, weightDecay } = settings;
  const moments: Record<number, { m: Float64Array; v: Float64Array }> = {};
  return (params, mean, { lane, part, step }) => {
    const { m, v } = (moments[lane] ??= { m: new Float64Array(params.length), v: new Float64Array(params.length) });
    const t = step * steps + part + 1;
    mean.forEach((g, i) => {
      m[i] = beta1 * m[i]! + (1 - beta1) * g;
      v[i] = beta2 * v[i]! + (1 - beta2) * g * g;
      params[i]! *= 1 - rate * weightDecay;
      params[i]! -= (rate * (m[i]! / (1 - beta1 ** t))) / (Math.sqrt(v[i]! / (1 - beta2 ** t)) + epsilon);
    });
  };
}
const sgdAt =
  (rate: number): Inner =>
  (params, mean) =>
    mean.forEach((g, i) => (params[i]! -= rate * g));

describe('three local steps on micro-batches of two samples and of one', () => {
  const even = [1, 1, 1, 1];
  const uneven = [0, 2, 1, 0.5];
  // A third of the micro-batches have nothing that counts.
  const weighted: Loss = { kind: 'softmax-cross-entropy', classWeights: uneven, labelSmoothing: 0 };
  const adam = { beta1: 0.8, beta2: 0.95, epsilon: 1e-4, weightDecay: 0.1 };
  const plainSgd = { steps: 3, learningRate: 0.2 };
  const adamw = { steps: 3, learningRate: 0.05, optimizer: { kind: 'adamw', ...adam } } as const;
  const innerAdam = () => adamW(3, { rate: 0.05, ...adam });
  const cases: [string, Loss, number[], LocalSteps, () => Inner][] = [
    ['of SGD, under a mean over samples', 'softmax-cross-entropy', even, plainSgd, () => sgdAt(0.2)],
    ['of SGD, under a weighted mean', weighted, uneven, plainSgd, () => sgdAt(0.2)],
    ['of AdamW, under a mean over samples', 'softmax-cross-entropy', even, adamw, innerAdam],
    ['of AdamW, under a weighted mean', weighted, uneven, adamw, innerAdam],
  ];
  it.each(cases)('%s come to what a float64 loop comes to, with DiLoCo’s outer optimiser', async (_, loss, weights, localSteps, innerOf) => {
    const inner = innerOf();
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
      outerGradient(params, drawn, { weights, inner, step }).forEach((g, i) => {
        velocity[i] = momentum * velocity[i]! + g;
        params[i]! -= learningRate * (g + momentum * velocity[i]!);
      });
    }
    const track = rig.track('local');
    await track.round({ workers: 3, steps: 1 });
    await track.round({ workers: 2, steps: STEPS - 1 });
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
