import { dyingWorld, Rig, type Track } from './rig';

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open();
});
afterAll(() => rig.close());

const STEPS = 6;
let undisturbed: Promise<string> | undefined;
/** One worker, nothing goes wrong: what every other way of training must come to. */
const yardstick = () =>
  (undisturbed ??= (async () => {
    const track = rig.track('yardstick');
    await track.round({ workers: 1, steps: STEPS });
    return track.weightsSha256();
  })());
let tracks = 0;
const newTrack = (): Track => rig.track(`track-${tracks++}`);

describe('the weights', () => {
  it.each([1, 2, 3, 4, 8])('have the same bits with %i workers', async (workers) => {
    const track = newTrack();
    await track.round({ workers, steps: STEPS });
    expect(await track.weightsSha256()).toBe(await yardstick());
  });

  it('have the same bits when the allocation changes between rounds', async () => {
    const track = newTrack();
    for (const [workers, steps] of [
      [1, 1],
      [3, 2],
      [8, 1],
      [2, 2],
    ] as const)
      await track.round({ workers, steps });
    expect(await track.weightsSha256()).toBe(await yardstick());
  });

  it('have the same bits when lanes are cut across the tree', async () => {
    const track = newTrack();
    await track.round({ workers: 3, steps: STEPS, lanesBorders: [0, 1, 6, 8] });
    expect(await track.weightsSha256()).toBe(await yardstick());
  });

  it('have the same bits when every assignment runs twice at once', async () => {
    const track = newTrack();
    await track.round({ workers: 2, steps: STEPS, copies: 2 });
    expect(await track.weightsSha256()).toBe(await yardstick());
  });

  it('have the same bits when the exchange is wiped again and again in mid-round', async () => {
    const track = newTrack();
    let wipes = 0;
    await track.round({
      workers: 3,
      steps: STEPS,
      meanwhile: async (plan) => {
        for (; wipes < 4; wipes++) {
          await new Promise((resolve) => setTimeout(resolve, 15));
          await rig.exchange.delete(await rig.exchange.list(`runs/${plan.run}/${plan.track}/`));
        }
      },
    });
    expect(wipes).toBe(4);
    expect(await track.weightsSha256()).toBe(await yardstick());
  });
});

describe('an instance that dies', () => {
  it.each(['before', 'after'] as const)('at any of its writes, %s it took effect, costs no bits', async (when) => {
    const expected = await yardstick();
    for (let at = 0; at < 40; at++) {
      const track = newTrack();
      const victim = at % 2;
      await track.round({
        workers: 2,
        steps: STEPS,
        invocation: (worker, attempt) => (worker === victim && attempt === 0 ? { world: dyingWorld(rig, at, when) } : {}),
      });
      expect([at, await track.weightsSha256()]).toEqual([at, expected]);
    }
  });
});
