import type { EngineDependencies } from '../../activities/dependencies';
import { createRunActivities } from '../../activities/runs';
import { parseJob, type JobInput } from '../../contracts/job';
import { MemoryObjectStore } from '../support/simulated/memory-store';

const given: JobInput = {
  name: 'opened',
  data: { train: 'file:///data' },
  model: { layers: [{ dense: 2 }] },
  loss: 'softmax-cross-entropy',
  training: { steps: 100, batchSize: 32, lanes: 16, optimizer: { kind: 'sgd', learningRate: 0.1 } },
};

/** The engine's own door: a job may come from any Temporal client, past every check of smlt's. */
describe('a run', () => {
  const store = new MemoryObjectStore(() => undefined);
  const limits = { timeoutMs: 900_000, concurrency: 10, minMemoryMib: 128, maxMemoryMib: 3_008, totalCores: Infinity };
  const engine = { store, platform: { limits }, exchanges: [{ uri: 'tmpfs:' }], redisUsdPerHour: 0, readDataSet: async () => ({ samples: 64 }) };
  const { openRun } = createRunActivities(engine as unknown as EngineDependencies);
  const open = (run: string, changes: Partial<JobInput>) =>
    openRun({ run, job: parseJob({ ...given, ...changes }), resume: false, nowMs: Date.UTC(2026, 0, 1) });
  const training = (changes: object) => ({ training: { ...given.training, ...changes } });

  it.each<[string, Partial<JobInput>, RegExp]>([
    [
      'more workers at least than the account runs at once',
      { allocation: { minWorkers: 11 } },
      /allocation\.minWorkers: got 11, expected at most 10:.*this account runs 10/,
    ],
    [
      'more workers at least than lanes',
      { ...training({ lanes: 8 }), allocation: { minWorkers: 9 } },
      /allocation\.minWorkers: got 9, expected at most 8: the job has 8 lanes/,
    ],
    ['memory beyond the platform’s', { allocation: { memoryMib: 10_240 } }, /allocation\.memoryMib: got 10240, expected 128 to 3008/],
    ['a deadline before now', { goal: { deadline: '2020-01-01T00:00:00Z' } }, /goal\.deadline: 2020-01-01T00:00:00Z is before now/],
    ['a batch larger than the data', training({ batchSize: 65 }), /training\.batchSize: a batch of 65/],
    ['a batch size that never comes', training({ batchSchedule: [{ fromStep: 100, batchSize: 64 }] }), /fromStep: step 100 never comes/],
    [
      'an exchange that is not there',
      { synchronization: { exchanges: ['redis'] } },
      /synchronization\.exchanges: got redis, and this deployment has files/,
    ],
    [
      'a search whose ends no job may have',
      { data: { train: 'file:///data', validation: 'file:///data' }, tune: { trials: 2, parameters: { 'training.lanes': { integer: [3, 16] } } } },
      /training\.lanes may become 3/,
    ],
  ])('is refused for %s, and nothing is kept of it', async (name, changes, words) => {
    await expect(open('refused', changes)).rejects.toMatchObject({ code: 'InvalidSpec', message: expect.stringMatching(words) });
    expect([name, await store.list('runs/refused/')]).toEqual([name, []]);
  });

  it('is opened once for one job, again after a resume, and never for another job', async () => {
    const searched = { ...engine, searchAttributes: true } as unknown as EngineDependencies;
    const opening = await createRunActivities(searched).openRun({
      run: 'r',
      job: parseJob({ ...given, goal: { budgetUsd: 1, deadline: '1h' } }),
      resume: false,
      nowMs: 5,
    });
    expect(opening).toMatchObject({ startedAtMs: 5, deadlineAtMs: 3_600_005, budgetNanoUsd: 1e9, notices: [] });
    await expect(open('r', {})).rejects.toMatchObject({ code: 'RunExists' });
  });
});
