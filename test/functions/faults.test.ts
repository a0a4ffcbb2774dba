/** @jest-environment ./test/support/native-arrays.ts */
import { names } from '../../contracts/names';
import { dyingWorld, Rig, stepOf, watchedWorld, type Track } from './rig';

const STEPS = 3;
let rig: Rig;
let yardstick: string;
let tracks = 0;
const newTrack = (): Track => rig.track(`track-${tracks++}`);
beforeAll(async () => {
  rig = await Rig.open({ clipNorm: 0.5 });
  const track = rig.track('yardstick');
  await track.round({ workers: 1, steps: STEPS });
  yardstick = await track.weightsSha256();
});
afterAll(() => rig.close());
jest.setTimeout(60_000);

/** How many writes a worker of two makes in a round without faults. */
async function writesOf(worker: number): Promise<number> {
  let writes = 0;
  const world = watchedWorld(rig, async () => void writes++);
  await newTrack().round({ workers: 2, steps: STEPS, invocation: (w) => (w === worker ? { world } : {}) });
  return writes;
}

describe('an instance that dies', () => {
  it.each([
    [0, 'before'],
    [0, 'after'],
    [1, 'before'],
    [1, 'after'],
  ] as const)('as worker %i, at any of its writes, %s it took effect, costs no bits', async (victim, when) => {
    const writes = await writesOf(victim);
    expect(writes).toBeGreaterThan(15);
    for (let at = 0; at < writes; at++) {
      const track = newTrack();
      await track.round({
        workers: 2,
        steps: STEPS,
        invocation: (worker, attempt) => (worker === victim && attempt === 0 ? { world: dyingWorld(rig, at, when) } : {}),
      });
      expect([at, await track.weightsSha256()]).toEqual([at, yardstick]);
    }
  });

  it('again and again makes progress all the same, in both workers at once', async () => {
    const track = newTrack();
    await track.round({
      workers: 2,
      steps: STEPS,
      invocation: (worker, attempt) => (attempt < 12 ? { world: dyingWorld(rig, 2 + attempt + worker, 'after') } : {}),
    });
    expect(await track.weightsSha256()).toBe(yardstick);
  });
});

describe('an exchange that loses everything', () => {
  it('at any write of a worker costs no bits', async () => {
    const writes = await writesOf(1);
    for (let at = 0; at < writes; at++) {
      const track = newTrack();
      let seen = 0;
      const world = watchedWorld(rig, async () => {
        if (seen++ === at) await rig.exchange.delete(await rig.exchange.list(names.track({ run: 'run', track: track.name })));
      });
      await track.round({ workers: 2, steps: STEPS, invocation: (worker) => (worker === 1 ? { world } : {}) });
      expect([at, await track.weightsSha256()]).toEqual([at, yardstick]);
    }
  });

  it('three times in a round of three workers costs no bits', async () => {
    const track = newTrack();
    let seen = 0;
    const world = watchedWorld(rig, async () => {
      if ([9, 27, 50].includes(seen++)) await rig.exchange.delete(await rig.exchange.list(names.track({ run: 'run', track: track.name })));
    });
    await track.round({ workers: 3, steps: STEPS, invocation: () => ({ world }) });
    expect(seen).toBeGreaterThan(50);
    expect(await track.weightsSha256()).toBe(yardstick);
  });

  it('one value at a time, whichever it is, costs no bits', async () => {
    const track = newTrack();
    let seen = 0;
    const world = watchedWorld(rig, async () => {
      const live = await rig.exchange.list(names.track({ run: 'run', track: track.name }));
      if (seen++ % 5 === 4 && seen < 60) await rig.exchange.delete([live.sort()[(seen * 7) % live.length]!]);
    });
    await track.round({ workers: 2, steps: STEPS, invocation: () => ({ world }) });
    expect(await track.weightsSha256()).toBe(yardstick);
  });
});

describe('copies of one assignment', () => {
  it('that run at the same time write the same names with the same bytes', async () => {
    const track = newTrack();
    await track.round({ workers: 3, steps: STEPS, copies: 3 });
    expect(await track.weightsSha256()).toBe(yardstick);
  });

  it('that run on when their round is committed find its manifest and end', async () => {
    const track = newTrack();
    const plan = await track.plan({ workers: 2, steps: STEPS });
    await Promise.all([track.invoke(plan, 0), track.invoke(plan, 1)]);
    await track.commit(plan);
    expect((await track.invoke(plan, 1)).kind).toBe('superseded');
    const left = await rig.exchange.list(names.steps(plan));
    expect(left.filter((name) => stepOf(name) < STEPS)).toEqual([]);
  });

  it('of a worker that comes late to a round whose others are done are done too, after a loss of the exchange', async () => {
    const track = newTrack();
    const plan = await track.plan({ workers: 2, steps: STEPS });
    await Promise.all([track.invoke(plan, 0), track.invoke(plan, 1)]);
    await rig.exchange.delete(await rig.exchange.list(names.steps(plan)));
    expect((await track.invoke(plan, 0)).kind).toBe('done');
    await track.commit(plan);
    expect(await track.weightsSha256()).toBe(yardstick);
  });
});

describe('a round cut short', () => {
  it('goes on under another allocation with the same bits, while the old instances end by themselves', async () => {
    for (let at = 0; at < 32; at += 3) {
      const track = newTrack();
      const plan = await track.plan({ workers: 2, steps: STEPS });
      let seen = 0;
      const world = watchedWorld(rig, async () => {
        if (seen++ === at) await track.cutShort(plan);
      });
      const answers = await Promise.all([track.invoke(plan, 0, { world }), track.invoke(plan, 1)]);
      if (seen <= at) await track.cutShort(plan);
      expect(answers.every(({ kind }) => kind === 'superseded' || kind === 'done')).toBe(true);
      if (track.step < STEPS) await track.round({ workers: 3, steps: STEPS - track.step });
      expect([at, await track.weightsSha256()]).toEqual([at, yardstick]);
    }
  });
});

describe('the exchange', () => {
  it('holds at most three steps at once without faults', async () => {
    const track = newTrack();
    let most = 0;
    const world = watchedWorld(rig, async () => {
      const live = await rig.exchange.list(names.track({ run: 'run', track: track.name }));
      most = Math.max(most, new Set(live.map(stepOf)).size);
    });
    await track.round({ workers: 2, steps: 10, invocation: () => ({ world }) });
    expect(most).toBeLessThanOrEqual(3);
  });
});
