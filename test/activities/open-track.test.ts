import { createTrackActivities } from '../../activities/tracks';
import type { EngineDependencies } from '../../activities/dependencies';
import { encodeRecord } from '../../activities/records';
import { readContext } from '../../activities/rounds';
import { parseJob } from '../../contracts/job';
import { names } from '../../contracts/names';
import type { Checkpoint, RoundManifest } from '../../contracts/round';
import { MemoryObjectStore } from '../support/simulated/memory-store';

const given = {
  name: 'opened',
  data: { train: 'file:///data' },
  model: { layers: [{ dense: 2 }] },
  loss: 'softmax-cross-entropy',
  training: { steps: 500, batchSize: 16, optimizer: { kind: 'sgd', learningRate: 0.1 } },
};
const job = parseJob(given);
const program = {
  ...{ programDigest: 'p'.repeat(64), paramCount: 8, bufferCount: 0, peakMemoryMib: 100, forwardFlopsPerSample: 16 },
  ...{ dataSha256: 'd'.repeat(64), samples: 64 },
};
const run = 'r';

describe('openTrack', () => {
  const store = new MemoryObjectStore(() => undefined);
  const platform = { codeDigest: async () => 'c'.repeat(64) };
  const { openTrack } = createTrackActivities({ store, platform } as unknown as EngineDependencies);
  const commit = async (manifest: Pick<RoundManifest, 'track' | 'round' | 'step' | 'recipe' | 'start' | 'objects'>) => {
    const whole = { formatVersion: 1, run, rangeBorders: [0, 8], loss: 1, ...manifest };
    await store.putValue(names.manifest({ run, track: manifest.track }, manifest.round), encodeRecord(whole));
  };
  const stored = (track: string, recipe: string, step: number): Checkpoint => ({ kind: 'stored', run, track, recipe, step, rangeBorders: [0, 8] });
  const some = [{ name: 'x', sha256: 'y' }];

  it('goes on from where its beginning is now, as long as no round of its own came to a step; then from its own newest round', async () => {
    const { recipe } = await openTrack({ run, track: 'trial-000', job, program });
    await commit({ track: 'trial-000', round: 0, step: 59, recipe, start: { kind: 'initial' }, objects: some });
    const first = await openTrack({ run, track: 'train', job, program, startFrom: { run, track: 'trial-000', round: 0 } });
    expect(first).toMatchObject({ step: 59, nextRound: 0, weights: null });

    // Cut before its first step; meanwhile the track that it began with has gone on, and its step 59 is swept.
    await commit({ track: 'train', round: 0, step: 59, recipe: first.recipe, start: stored('trial-000', recipe, 59), objects: [] });
    await commit({ track: 'trial-000', round: 1, step: 65, recipe, start: stored('trial-000', recipe, 59), objects: some });
    const again = await openTrack({ run, track: 'train', job, program, startFrom: { run, track: 'trial-000', round: 1 } });
    expect(again).toMatchObject({ step: 65, nextRound: 1, weights: null });

    await commit({ track: 'train', round: 1, step: 80, recipe: again.recipe, start: stored('trial-000', recipe, 65), objects: some });
    const later = await openTrack({ run, track: 'train', job, program, startFrom: { run, track: 'trial-000', round: 1 } });
    expect(later).toMatchObject({ step: 80, nextRound: 2, weights: { run, track: 'train', round: 1 } });
  });

  it('plans a resumed job by what it says now, though nothing that values depend on has changed', async () => {
    const began = await openTrack({ run, track: 'changed', job, program });
    await commit({ track: 'changed', round: 0, step: 9, recipe: began.recipe, start: { kind: 'initial' }, objects: some });
    const changed = parseJob({ ...given, allocation: { maxWorkers: 4 } });
    const resumed = await openTrack({ run, track: 'changed', job: changed, program });
    expect(resumed).toMatchObject({ step: 9, nextRound: 1 });
    const context = await readContext(store, { run, track: 'changed', recipe: resumed.recipe });
    expect(context.job).toEqual(changed);
    expect(context.recipeBody.continues).toEqual({ recipe: began.recipe, step: 9 });

    await commit({ track: 'changed', round: 1, step: 12, recipe: resumed.recipe, start: stored('changed', began.recipe, 9), objects: some });
    expect(await openTrack({ run, track: 'changed', job: changed, program })).toMatchObject({ recipe: resumed.recipe, step: 12 });
  });

  describe('with lossy methods that the job allows', () => {
    const limits = { minMemoryMib: 128, maxMemoryMib: 10_240, concurrency: 100, totalCores: 100, timeoutMs: 900_000 };
    const prices = { usdPerGbSecond: 1.6e-5, usdPerRequest: 2e-7, usdPerPut: 0, usdPerGet: 0 };
    const deployed = { store, platform: { ...platform, limits, prices }, exchanges: [{ uri: 'redis://localhost:1' }], redisUsdPerHour: 0 };
    const { openTrack: open } = createTrackActivities(deployed as unknown as EngineDependencies);
    const large = { ...program, paramCount: 20_000_000, samples: 6_400 };
    const allowing = (allow: string[]) => parseJob({ ...given, training: { ...given.training, lanes: 4 }, allocation: { minWorkers: 4, maxWorkers: 4, memoryMib: 1_769 }, synchronization: { allow } }); // prettier-ignore
    const seen = (syncMs: number) => ({
      ...{ allocation: { workers: 4, memoryMib: 1_769, steps: 4 }, round: 0, batchSize: 16, compression: null, steps: 4, wallMs: 4 * syncMs + 100 },
      parts: { computeMs: 20, uploadMs: syncMs, waitMs: 0, downloadMs: 0, reduceMs: 0, otherMs: 0 },
      ...{ stepMs: 20 + syncMs, initMs: 0, orchestrationMs: 60, billedNanoUsd: 1e6, peakRssMib: 900, cold: false, merged: 1 },
      failures: { outOfMemory: 0, timedOut: 0 },
    });
    const question = (rounds: number, syncMs = 8_000) =>
      ({ ...{ grant: {}, spentNanoUsd: 0, nowMs: 1e12, forbidden: {} }, observations: Array.from({ length: rounds }, () => seen(syncMs)) }); // prettier-ignore
    const opened = (track: string, allow: string[], choice = question(3)) =>
      open({ run: 'lossy', track, job: allowing(allow), program: large, choice });

    it('takes none while too little was seen, then the one that pays, and says why', async () => {
      const early = await opened('train', ['bf16'], question(2));
      expect(early).toMatchObject({ compression: null, undecided: true });
      const later = await opened('train', ['bf16']);
      expect(later).toMatchObject({ compression: { kind: 'bf16' }, method: expect.stringMatching(/^Gradients in bf16: /) });
      expect(later.undecided).toBeUndefined();
      expect(later.recipe).not.toBe(early.recipe);
      const context = await readContext(store, { run: 'lossy', track: 'train', recipe: later.recipe });
      expect(context.job.synchronization).toMatchObject({ compression: { kind: 'bf16' } });
    });

    it('keeps the choice for every later track and resume, whatever is seen then; other methods are chosen from anew', async () => {
      const fast = question(9, 1);
      expect(await opened('trial-001', ['bf16'], fast)).toMatchObject({ compression: { kind: 'bf16' } });
      expect(await opened('train', ['bf16'], fast)).toMatchObject({ compression: { kind: 'bf16' } });
      expect(await opened('train', ['bf16', 'qsgd'], fast)).toMatchObject({ compression: null, method: expect.stringMatching(/^Gradients stay/) });
    });

    it('takes none for the rounds of profiling', async () => {
      const profiled = await open({ run: 'lossy', track: 'trial-000', job: allowing(['bf16']), program: large });
      expect(profiled).toMatchObject({ compression: null });
      expect(profiled.undecided).toBeUndefined();
    });
  });
});
