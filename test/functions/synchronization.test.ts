/** @jest-environment ./test/support/native-arrays.ts */
import { names } from '../../contracts/names';
import { partsOf, topologies } from '../../contracts/synchronization';
import { adam, dyingWorld, Rig, watchedWorld, type RigOptions, type Track } from './rig';

const STEPS = 4;
jest.setTimeout(60_000);

/** Every setting that changes values, with what a step exchanges besides gradients. */
const jobs: Record<string, RigOptions> = {
  bf16: { compression: { kind: 'bf16' }, clipNorm: 0.3 },
  fp16: {
    compression: { kind: 'fp16' },
    layers: [{ dense: 64 }, 'batchNorm', 'relu', { dense: 24 }, 'tanh', { dense: 4 }],
    batchSize: 32,
    loss: { kind: 'softmax-cross-entropy', classWeights: [0.5, 3, 1, 0.2], labelSmoothing: 0.1 },
  },
  'eight bits, drawn': { compression: { kind: 'qsgd', bits: 8 }, clipNorm: 0.3 },
  'four bits, drawn': { compression: { kind: 'qsgd', bits: 4 } },
  'the largest tenth': { compression: { kind: 'top-k', density: 0.1 }, clipNorm: 0.3 },
  'what is significant': {
    compression: { kind: 'significance', threshold: 0.05 },
    schedule: { kind: 'cosine', minimumFactor: 0.1, warmupSteps: 2 },
  },
  'micro-batches of two samples and of one': {
    microBatches: 3,
    layers: [{ dense: 64 }, 'relu', { dropout: 0.3 }, { dense: 24 }, 'tanh', { dense: 4 }],
    compression: { kind: 'bf16' },
  },
  'local steps on micro-batches of two samples and of one': {
    localSteps: { steps: 3, learningRate: 0.1 },
    layers: [{ dense: 64 }, 'relu', { dropout: 0.3 }, { dense: 24 }, 'tanh', { dense: 4 }],
    optimizer: { kind: 'sgd', learningRate: 0.7, momentum: 0.9, nesterov: true, weightDecay: 0 },
    clipNorm: 0.3,
  },
  "local steps of AdamW, whose moments are the lanes', and whose differences are sparse": {
    localSteps: { steps: 2, learningRate: 0.01, optimizer: { kind: 'adamw', beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 } },
    compression: { kind: 'top-k', density: 0.1 },
    loss: { kind: 'softmax-cross-entropy', classWeights: [0.5, 3, 1, 0], labelSmoothing: 0.1 },
  },
  'local steps whose differences are sparse': { localSteps: { steps: 2, learningRate: 0.1 }, compression: { kind: 'top-k', density: 0.1 } },
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

  it('weights have other bits than without it', async () => {
    const track = newTrack();
    const exact = { compression: undefined, localSteps: undefined, microBatches: partsOf(options) };
    await track.round({ workers: 1, steps: STEPS, change: { recipe: 'recipe-exact', recipeBody: exact } });
    expect(await track.weightsSha256()).not.toBe(yardstick);
  });

  it.each([3, 8])('%i workers leave the same bits as one', async (workers) => {
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
    ] as const)
      await track.round({ workers, steps });
    expect(await track.weightsSha256()).toBe(yardstick);
  });

  it('lanes cut across the tree, groups and every topology leave the same bits', async () => {
    for (const way of [...topologies.map((topology) => ({ topology })), { groups: 2 }]) {
      const track = newTrack();
      await track.round({ ...way, workers: 4, steps: STEPS, laneBorders: [0, 1, 4, 6, 8] });
      expect([way, await track.weightsSha256()]).toEqual([way, yardstick]);
    }
  });

  it('a worker may die at any of its writes', async () => {
    let writes = 0;
    const counting = watchedWorld(rig, async () => void writes++);
    await newTrack().round({ workers: 2, steps: STEPS, invocation: (worker) => (worker === 1 ? { world: counting } : {}) });
    expect(writes).toBeGreaterThan(STEPS);
    for (let at = 0; at < writes; at += 3) {
      const track = newTrack();
      const when = at % 2 === 0 ? 'after' : 'before';
      await track.round({
        workers: 2,
        steps: STEPS,
        invocation: (worker, attempt) => (worker === 1 && attempt === 0 ? { world: dyingWorld(rig, at, when) } : {}),
      });
      expect([at, await track.weightsSha256()]).toEqual([at, yardstick]);
    }
  });

  it('the exchange may lose everything, and single values', async () => {
    const track = newTrack();
    let seen = 0;
    const world = watchedWorld(rig, async () => {
      const live = (await rig.exchange.list(names.track({ run: 'run', track: track.name }))).sort();
      if (seen === 13 || seen === 27) await rig.exchange.delete(live);
      else if (live.length > 0 && seen % 5 === 4 && seen < 60) await rig.exchange.delete([live[(seen * 7) % live.length]!]);
      seen++;
    });
    await track.round({ workers: 2, steps: STEPS, invocation: () => ({ world }) });
    expect(seen).toBeGreaterThan(27);
    expect(await track.weightsSha256()).toBe(yardstick);
  });

  it('a round that is cut short in the middle goes on with the same bits', async () => {
    const track = newTrack();
    const plan = await track.plan({ workers: 2, steps: STEPS });
    let cut: Promise<void> | undefined;
    const world = watchedWorld(rig, async (name) => {
      if (/steps\/3\/partials/.test(name)) await (cut ??= track.cutShort(plan));
    });
    await Promise.all([0, 1].map((worker) => track.invoke(plan, worker, { world })));
    await cut;
    expect(track.step).toBeLessThan(STEPS);
    await track.round({ workers: 3, steps: STEPS - track.step });
    expect(await track.weightsSha256()).toBe(yardstick);
  });
});

it('a host with other bits takes over what is stored, in its own sums too', async () => {
  const rig = await Rig.open({ compression: { kind: 'bf16' }, reproducibility: 'values' });
  const track = rig.track('values');
  const other: typeof rig.world.compute = {
    ...rig.world.compute,
    openLane: async (...args) => {
      const session = await rig.world.compute.openLane(...args);
      return {
        close: () => session.close(),
        run: async (input) => {
          await session.run(input);
          for (let i = 0; i < input.into.length; i++) input.into[i]! *= 1 + 2 ** -7;
        },
      };
    },
  };
  // A second copy of worker 0 computes other bits; whichever publishes first, both go on with it.
  let calls = 0;
  await track.round({
    workers: 2,
    steps: 2,
    copies: 2,
    invocation: (worker) => (worker === 0 && calls++ > 0 ? { world: { ...rig.world, compute: other } } : {}),
  });
  expect(track.answers.every(({ kind }) => kind === 'done')).toBe(true);
  expect(track.answers.reduce((sum, { telemetry }) => sum + telemetry.adopted, 0)).toBeGreaterThan(0);
  await rig.close();
});

it('unequal micro-batches weigh as many samples as they have: the update is that of the whole batch', async () => {
  const layers: RigOptions['layers'] = [{ dense: 64 }, 'relu', { dropout: 0.3 }, { dense: 24 }, 'tanh', { dense: 4 }];
  const weightsWith = async (microBatches: number) => {
    const rig = await Rig.open({
      layers,
      microBatches,
      batchSize: 30,
      optimizer: { kind: 'sgd', learningRate: 0.2, momentum: 0, nesterov: false, weightDecay: 0 },
    });
    const track = rig.track('micro');
    await track.round({ workers: 2, steps: 5 });
    const { params } = await track.weights();
    await rig.close();
    return params;
  };
  const whole = await weightsWith(1);
  const parts = await weightsWith(3);
  const distance = Math.max(...whole.map((value, i) => Math.abs(value - parts[i]!)));
  expect(distance).toBeGreaterThan(0);
  expect(distance).toBeLessThan(1e-6);
});
