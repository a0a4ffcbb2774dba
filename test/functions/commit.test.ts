/** @jest-environment ./test/support/native-arrays.ts */
import { createRoundActivities } from '../../activities/rounds';
import { names } from '../../contracts/names';
import { jsonOf } from '../../functions/bytes';
import { Rig, stepOf, watchedWorld } from './rig';

const STEPS = 5;
let rig: Rig;
let yardstick: string;
beforeAll(async () => {
  rig = await Rig.open();
  const track = rig.track('yardstick');
  await track.round({ workers: 1, steps: STEPS });
  yardstick = await track.weightsSha256();
});
afterAll(() => rig.close());
const activities = () =>
  createRoundActivities({ store: rig.store, exchanges: [rig.exchange] } as unknown as Parameters<typeof createRoundActivities>[0]);

describe('the commit activity and the train function agree', () => {
  it('on the objects of a round, its loss and its curve', async () => {
    const track = rig.track('committed');
    const plan = await track.plan({ workers: 3, steps: STEPS });
    const answers = await Promise.all([0, 1, 2].map((worker) => track.invoke(plan, worker)));
    const committed = await activities().commitRound(plan);
    expect(committed).toMatchObject({ step: STEPS, loss: answers.map((answer) => (answer.kind === 'done' ? answer.loss : NaN))[0] });
    const curve = jsonOf(await rig.store.get(names.curve(plan, 0))) as { first: number; losses: number[] };
    expect(curve.first).toBe(0);
    expect(curve.losses).toHaveLength(STEPS);
    expect(curve.losses.at(-1)).toBe(committed.loss);
    await track.commit(plan);
    expect(await track.weightsSha256()).toBe(yardstick);
  });

  it('on a round cut short in the middle, which goes on with the same bits', async () => {
    const track = rig.track('cut');
    const plan = await track.plan({ workers: 2, steps: STEPS });
    let step: number | undefined;
    const world = watchedWorld(rig, async (name) => {
      if (step === undefined && stepOf(name) === 3 && name.includes('/partials/')) ({ step } = await activities().cutShort(plan));
    });
    await Promise.all([track.invoke(plan, 0, { world }), track.invoke(plan, 1)]);
    expect(step).toBeGreaterThanOrEqual(2);
    await track.commit(plan, step);
    await track.round({ workers: 4, steps: STEPS - track.step });
    expect(await track.weightsSha256()).toBe(yardstick);
  });
});
