/** @jest-environment ./test/support/native-arrays.ts */
import { names } from '../../contracts/names';
import { Schedule } from '../../contracts/schedule';
import { topologies } from '../../contracts/synchronization';
import { dyingWorld, Rig, watchedWorld, type RoundOptions, type Track } from './rig';

const STEPS = 3;
/** Who adds up and updates; groups of two and of three workers, where there are enough. */
const ways: Record<string, Pick<RoundOptions, 'topology' | 'groups'>> = {
  ...Object.fromEntries(topologies.map((topology) => [topology, { topology }])),
  'scatter-reduce in two groups': { groups: 2 },
};
const [first, ...others] = Object.entries(ways);

// Everything that goes round: norms, the mean weight, running statistics, the counters that decide the rate.
let rig: Rig;
let yardstick: string;
let tracks = 0;
const newTrack = (): Track => rig.track(`track-${tracks++}`);
beforeAll(async () => {
  rig = await Rig.open({
    layers: [{ dense: 64 }, 'batchNorm', 'relu', { dense: 24 }, 'tanh', { dense: 4 }],
    batchSize: 32,
    clipNorm: 0.3,
    loss: { kind: 'softmax-cross-entropy', classWeights: [0.5, 3, 1, 0.2], labelSmoothing: 0.1 },
    schedule: Schedule.parse({ kind: 'reduce-on-plateau', everySteps: 1, patience: 0, factor: 0.5, threshold: 0.5 }),
    weightAverage: { decay: 0.5 },
  });
  const track = rig.track('yardstick');
  await track.round({ workers: 1, steps: STEPS });
  yardstick = await track.weightsSha256();
});
afterAll(() => rig.close());
jest.setTimeout(60_000);

describe.each(Object.entries(ways))('by %s', (_, way) => {
  it.each([2, 3, 5, 8])('%i workers leave the same bits as one', async (workers) => {
    const track = newTrack();
    await track.round({ ...way, workers, steps: STEPS });
    expect(await track.weightsSha256()).toBe(yardstick);
  });

  it('lanes cut across the tree leave the same bits', async () => {
    const track = newTrack();
    await track.round({ ...way, workers: 4, steps: STEPS, laneBorders: [0, 1, 4, 6, 8] });
    expect(await track.weightsSha256()).toBe(yardstick);
  });

  it.each([0, 2])('worker %i of four may die at any of its writes', async (victim) => {
    let writes = 0;
    const counting = watchedWorld(rig, async () => void writes++);
    await newTrack().round({ ...way, workers: 4, steps: STEPS, invocation: (worker) => (worker === victim ? { world: counting } : {}) });
    expect(writes).toBeGreaterThan(STEPS);
    for (let at = 0; at < writes; at += 2) {
      const track = newTrack();
      const when = at % 4 === 0 ? 'after' : 'before';
      const dying = () => dyingWorld(rig, at, when);
      await track.round({
        ...way,
        workers: 4,
        steps: STEPS,
        invocation: (worker, attempt) => (worker === victim && attempt === 0 ? { world: dying() } : {}),
      });
      expect([at, await track.weightsSha256()]).toEqual([at, yardstick]);
    }
  });

  it('values that are lost one by one, and all at once, cost no bits', async () => {
    const track = newTrack();
    let seen = 0;
    const world = watchedWorld(rig, async () => {
      const live = (await rig.exchange.list(names.track({ run: 'run', track: track.name }))).sort();
      if (seen++ % 5 === 4 && seen < 60) await rig.exchange.delete(seen === 25 ? live : [live[(seen * 7) % live.length]!]);
    });
    await track.round({ ...way, workers: 4, steps: STEPS, invocation: () => ({ world }) });
    expect(seen).toBeGreaterThan(25);
    expect(await track.weightsSha256()).toBe(yardstick);
  });
});

it('rounds that change it, and the workers too, leave the same bits', async () => {
  for (const [, after] of others) {
    const track = newTrack();
    await track.round({ ...first![1], workers: 2, steps: 1 });
    await track.round({ ...after, workers: 5, steps: 1 });
    await track.round({ ...first![1], workers: 3, steps: 1 });
    expect(await track.weightsSha256()).toBe(yardstick);
  }
});

it('a lone worker publishes nothing but now and then a step to go on from, which its successor finds', async () => {
  const busy = await Rig.open({ times: { lookMs: 0 } });
  const track = busy.track('alone');
  const written: string[] = [];
  const world = watchedWorld(busy, async (name) => void written.push(name));
  await track.round({ workers: 1, steps: 6, invocation: (_, attempt) => ({ world: attempt === 0 ? dyingWorld(busy, 9, 'after') : world }) });
  expect(written[0]).toMatch(/\/steps\/[3-5]\/state\//);
  await busy.close();

  const quiet = await Rig.open({ times: { lookMs: 60_000 } });
  await quiet.track('alone').round({ workers: 1, steps: 6 });
  expect(quiet.exchange.traffic).toMatchObject({ puts: 0, gets: 0 });
  await quiet.close();
});
