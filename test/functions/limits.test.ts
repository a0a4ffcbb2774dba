/** @jest-environment ./test/support/native-arrays.ts */
import { names } from '../../contracts/names';
import type { TrainAnswer } from '../../contracts/round';
import { within } from '../support/within';
import { Rig, watchedWorld, type Track } from './rig';

const STEPS = 6;
let rig: Rig;
let yardstick: string;
let tracks = 0;
const newTrack = (): Track => rig.track(`track-${tracks++}`);
beforeAll(async () => {
  rig = await Rig.open();
  const track = rig.track('yardstick');
  await track.round({ workers: 1, steps: STEPS });
  yardstick = await track.weightsSha256();
});
afterAll(() => rig.close());
jest.setTimeout(30_000);

const kindsOf = (answers: readonly TrainAnswer[]) => new Set(answers.map(({ kind }) => kind));

describe('a time limit', () => {
  it('that comes after every step is answered with how far it reached, and costs no bits', async () => {
    const track = newTrack();
    await track.round({ workers: 2, steps: STEPS, invocation: () => ({ remainingMs: () => 0 }) });
    expect(kindsOf(track.answers)).toContain('reached');
    expect(await track.weightsSha256()).toBe(yardstick);
  });

  it('lets every invocation do at least one step', async () => {
    const track = newTrack();
    await track.round({ workers: 1, steps: STEPS, invocation: () => ({ remainingMs: () => 0 }) });
    expect(track.answers.map((answer) => (answer.kind === 'reached' ? answer.step : answer.kind))).toEqual([1, 2, 3, 4, 5, 'done']);
  });

  it('in a wait is answered with the names that are missing', async () => {
    const track = newTrack();
    const plan = await track.plan({ workers: 2, steps: STEPS });
    const answer = await track.invoke(plan, 0, { remainingMs: () => 0 });
    expect(answer).toMatchObject({ kind: 'waiting', step: 0, missingCount: 2 });
    if (answer.kind !== 'waiting') return;
    expect(answer.missing).toContain(names.partial(plan, 0, { start: 4, end: 8 }, { start: 0, end: plan.cut.rangeBorders[1]! }));
  });
});

describe('money that is used up', () => {
  it('ends a turn wherever it is, and costs no bits', async () => {
    const track = newTrack();
    await track.round({ workers: 2, steps: STEPS, invocation: (_, attempt) => (attempt < 3 ? { spendLimitMs: 4 ** attempt } : {}) });
    expect(kindsOf(track.answers)).toContain('spent');
    expect(await track.weightsSha256()).toBe(yardstick);
  });

  it('ends a wait for others, long before it would be given up', async () => {
    const track = newTrack();
    const plan = await track.plan({ workers: 2, steps: STEPS });
    const startedAtMs = performance.now();
    expect(await within(2_500, track.invoke(plan, 0, { spendLimitMs: 300 }))).toMatchObject({ kind: 'spent', step: 0 });
    expect(performance.now() - startedAtMs).toBeGreaterThan(290);
  });
});

describe('a wait', () => {
  it('without news gives its slot free after giveUpMs', async () => {
    const slow = await Rig.open({ times: { waitMs: 30, giveUpMs: 200 } });
    const track = slow.track('alone');
    const plan = await track.plan({ workers: 2, steps: STEPS });
    const startedAtMs = performance.now();
    expect((await track.invoke(plan, 1)).kind).toBe('waiting');
    expect(performance.now() - startedAtMs).toBeGreaterThan(200);
    await slow.close();
  });

  it('is told of after hedgeAfterMs, by the one worker that tells of the slow one, and once a round', async () => {
    const hedged = await Rig.open({ times: { waitMs: 30, giveUpMs: 900, hedgeAfterMs: 100 } });
    const track = hedged.track('told');
    const plan = await track.plan({ workers: 3, steps: STEPS });
    // Workers 0 and 2 wait for 1, which never comes: 0 is its teller.
    const timed = async (worker: number, how: { hasTold?: true } = {}) => {
      const startedAtMs = performance.now();
      return { answer: await track.invoke(plan, worker, how), ms: performance.now() - startedAtMs };
    };
    const [teller, other] = await Promise.all([timed(0), timed(2)]);
    expect(teller.answer).toMatchObject({ kind: 'waiting', slow: [1] });
    expect(teller.ms).toBeLessThan(800);
    expect(other.answer.kind).toBe('waiting');
    expect(other.ms).toBeGreaterThan(900);
    const patient = await timed(0, { hasTold: true });
    expect(patient.answer.kind).toBe('waiting');
    expect(patient.ms).toBeGreaterThan(900);
    await hedged.close();
  });

  it('lets three workers come to the end in two slots', async () => {
    const slow = await Rig.open({ times: { waitMs: 20, giveUpMs: 60 } });
    const track = slow.track('few-slots');
    await track.round({ workers: 3, steps: 3, slots: 2 });
    const alone = slow.track('one');
    await alone.round({ workers: 1, steps: 3 });
    expect(kindsOf(track.answers)).toContain('waiting');
    expect(await track.weightsSha256()).toBe(await alone.weightsSha256());
    await slow.close();
  });

  it('for the manifest of a stopped round ends within a second', async () => {
    const track = newTrack();
    const plan = await track.plan({ workers: 2, steps: STEPS });
    const running = track.invoke(plan, 0);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await track.cutShort(plan);
    expect((await within(1_000, running)).kind).toBe('superseded');
  });
});

describe('a manifest', () => {
  it('that appears while steps run ends the worker before its round is over', async () => {
    const track = newTrack();
    const plan = await track.plan({ workers: 2, steps: 200 });
    let cut = false;
    const world = watchedWorld(rig, async (name) => {
      if (!cut && name.includes('/steps/5/')) {
        cut = true;
        await track.cutShort(plan);
      }
    });
    const answers = await Promise.all([track.invoke(plan, 0, { world }), track.invoke(plan, 1)]);
    expect(kindsOf(answers)).toEqual(new Set(['superseded']));
    expect(track.step).toBeGreaterThan(2);
    expect(track.step).toBeLessThan(100);
  });
});

describe('telemetry', () => {
  it('has parts that add up to the wall time, counts steps and traffic', async () => {
    const track = newTrack();
    await track.round({ workers: 2, steps: STEPS });
    for (const { telemetry } of track.answers) {
      const { wallMs, initMs, computeMs, uploadMs, waitMs, downloadMs, reduceMs, otherMs } = telemetry;
      expect(initMs + computeMs + uploadMs + waitMs + downloadMs + reduceMs + otherMs).toBeCloseTo(wallMs, 6);
      for (const part of [initMs, computeMs, uploadMs, reduceMs]) expect(part).toBeGreaterThan(0);
      expect(otherMs).toBeLessThan(wallMs / 2);
      expect(telemetry.steps).toBe(STEPS);
      expect(telemetry.bytesWritten).toBeGreaterThan(0);
      expect(telemetry.storeRequests).toBeGreaterThan(0);
      expect(telemetry.peakRssMib).toBeGreaterThan(20);
    }
  });

  it('says done with the loss of the newest step from the worker that owns it', async () => {
    const track = newTrack();
    await track.round({ workers: 2, steps: STEPS });
    const losses = track.answers.map((answer) => (answer.kind === 'done' ? answer.loss : undefined));
    expect(losses.filter((loss) => loss !== null)).toHaveLength(1);
    expect(losses.find((loss) => loss !== null)).toBeGreaterThan(0);
  });
});
