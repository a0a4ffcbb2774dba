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
});
