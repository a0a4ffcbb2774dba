/** @jest-environment ./test/support/native-arrays.ts */
import { Optimizer } from '../../contracts/optimizer';
import { Schedule } from '../../contracts/schedule';
import { adam, classes, Rig, type RigOptions, type Track } from './rig';

const STEPS = 6;

/** What changes the arithmetic; each must still not depend on who computes what. */
const jobs: Record<string, RigOptions> = {
  'adam and softmax-cross-entropy': {},
  'global-norm clipping': { clipNorm: 0.05 },
  'batch normalisation, dropout and lanes of one size': {
    layers: [{ dense: 64 }, 'batchNorm', 'relu', { dropout: 0.3 }, { dense: 24 }, 'batchNorm', 'tanh', { dense: 4 }],
    batchSize: 32,
  },
  'a model of one block, which one worker owns alone': { layers: [{ dense: classes }], clipNorm: 0.2 },
  'convolutions and pooling': {
    layers: [
      { reshape: [1, 4, 4] },
      { conv2d: { filters: 16, kernel: 3, padding: 'same' } },
      'batchNorm',
      'relu',
      { residual: [{ conv2d: { filters: 16, kernel: 3, padding: 'same' } }, 'relu'] },
      { maxPool2d: 2 },
      'flatten',
      { dense: classes },
    ],
    optimizer: { kind: 'adamw', learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 },
  },
  'momentum, mse and a schedule': {
    layers: [{ dense: 64 }, 'relu', { dense: 24 }, 'tanh', { dense: 2 }],
    loss: 'mse',
    optimizer: { kind: 'sgd', learningRate: 0.05, momentum: 0.9, nesterov: true, weightDecay: 0.01 },
    schedule: { kind: 'cosine', minimumFactor: 0.1, warmupSteps: 2 },
  },
  'NAdam and a moving average of the weights': { optimizer: Optimizer.parse({ kind: 'nadam', learningRate: 0.01 }), weightAverage: { decay: 0.5 } },
  'a rate that falls on a plateau of the loss': {
    optimizer: { kind: 'sgd', learningRate: 0.5, momentum: 0.5, nesterov: false, weightDecay: 0 },
    schedule: Schedule.parse({ kind: 'reduce-on-plateau', everySteps: 1, patience: 0, factor: 0.5, threshold: 0.2 }),
  },
  'class weights, which weigh every batch differently, and clipping': {
    loss: { kind: 'softmax-cross-entropy', classWeights: [0.5, 3, 1, 0], labelSmoothing: 0.1 },
    clipNorm: 0.3,
  },
  'plain gradient descent, which keeps no state': { optimizer: { kind: 'sgd', learningRate: 0.05, momentum: 0, nesterov: false, weightDecay: 0 } },
};

describe.each(Object.entries(jobs))('with %s', (_, options) => {
  let rig: Rig;
  let yardstick: string;
  let tracks = 0;
  const newTrack = (): Track => rig.track(`track-${tracks++}`);
  beforeAll(async () => {
    rig = await Rig.open({ optimizer: adam, ...options });
    const track = rig.track('yardstick');
    await track.round({ workers: 1, steps: STEPS });
    yardstick = await track.weightsSha256();
  });
  afterAll(() => rig.close());

  it.each([2, 3, 4, 8])('%i workers leave the same bits as one', async (workers) => {
    const track = newTrack();
    await track.round({ workers, steps: STEPS });
    expect(await track.weightsSha256()).toBe(yardstick);
  });

  it('rounds under changing allocations leave the same bits as one round', async () => {
    const track = newTrack();
    for (const [workers, steps] of [
      [1, 1],
      [3, 2],
      [8, 1],
      [2, 2],
    ] as const)
      await track.round({ workers, steps });
    expect(await track.weightsSha256()).toBe(yardstick);
  });

  it('lanes cut across the tree leave the same bits', async () => {
    const track = newTrack();
    await track.round({ workers: 3, steps: STEPS, laneBorders: [0, 1, 6, 8] });
    expect(await track.weightsSha256()).toBe(yardstick);
  });

  it('training changes the weights at every step', async () => {
    const track = newTrack();
    const digests = new Set<string>();
    for (let step = 0; step < 3; step++) {
      await track.round({ workers: 2, steps: 1 });
      digests.add(await track.weightsSha256());
    }
    expect(digests.size).toBe(3);
  });
});

describe('a recipe that changes between rounds', () => {
  it('begins the state of another optimiser with zeros and counts its steps from there, for every allocation', async () => {
    const rig = await Rig.open();
    const rmsprop = Optimizer.parse({ kind: 'rmsprop', learningRate: 0.01, momentum: 0.5 });
    const weightsAfter = async (name: string, workers: number, stateFrom: number | undefined) => {
      const track = rig.track(name);
      await track.round({ workers, steps: 2 });
      for (const steps of [1, 2])
        await track.round({ workers, steps, change: { recipe: `recipe-${name}`, recipeBody: { optimizer: rmsprop, stateFrom } } });
      return track.weightsSha256();
    };
    expect(await weightsAfter('begun', 1, 2)).toBe(await weightsAfter('again', 3, 2));
    // Adam's state has as many floats: taken over, its first moment would be read as a mean square.
    await expect(weightsAfter('taken', 1, undefined)).rejects.toMatchObject({ code: 'Diverged' });
    await rig.close();
  });
  it("starts from the old one's weights, with the same bits for every allocation", async () => {
    const rig = await Rig.open();
    const sgd = { kind: 'sgd', learningRate: 0.1, momentum: 0.9, nesterov: false, weightDecay: 0 } as const;
    const slower = { recipe: 'recipe-slower', recipeBody: { optimizer: { ...adam, learningRate: 0.001 } } };
    const other = { recipe: 'recipe-other', recipeBody: { optimizer: sgd } };
    const digests: string[] = [];
    for (const [first, second, third] of [
      [1, 1, 1],
      [2, 3, 8],
      [4, 2, 3],
    ] as const) {
      const track = rig.track(`track-${first}`);
      await track.round({ workers: first, steps: 2 });
      await track.round({ workers: second, steps: 2, change: slower });
      await track.round({ workers: third, steps: 2, change: other });
      expect(track.step).toBe(6);
      digests.push(await track.weightsSha256());
    }
    expect(new Set(digests).size).toBe(1);
    await rig.close();
  });
});
