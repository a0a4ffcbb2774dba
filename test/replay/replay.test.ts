import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';

jest.setTimeout(120_000);
const ROOT = join(__dirname, '..', '..');
const HISTORIES = join(__dirname, 'histories');

interface Recorded {
  readonly workflowId: string;
  readonly type: string;
  readonly history: unknown;
}
const recorded: Recorded[] = readdirSync(HISTORIES).flatMap((version) =>
  readdirSync(join(HISTORIES, version)).map((file) => {
    const history = JSON.parse(readFileSync(join(HISTORIES, version, file), 'utf8')) as {
      events: { workflowExecutionStartedEventAttributes: { workflowId: string; workflowType: { name: string } } }[];
    };
    const { workflowId, workflowType } = history.events[0]!.workflowExecutionStartedEventAttributes;
    // Its own id: children are named after it.
    return { workflowId, type: workflowType.name, history };
  }),
);
const bundle = readFileSync(join(ROOT, 'dist', 'workflow-bundle.js'), 'utf8');

async function replay(code: string): Promise<Map<string, Error | undefined>> {
  const results = new Map<string, Error | undefined>();
  const histories = recorded.map(({ workflowId, history }) => ({ workflowId, history }));
  for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle: { code } }, histories)) results.set(workflowId, error);
  return results;
}

describe('recorded histories', () => {
  beforeAll(() => Runtime.install({ logger: new DefaultLogger('ERROR') }));

  it('hold one of every stage', () => {
    expect([...new Set(recorded.map(({ type }) => type))].sort()).toEqual(['cleanup', 'deploy', 'evaluate', 'pipeline', 'profile', 'train', 'tune']);
  });

  it('replay with the workflows as they are now', async () => {
    const failed = [...(await replay(bundle))].filter(([, error]) => error !== undefined);
    expect(failed).toEqual([]);
  });

  it('fail to replay when a workflow asks for another activity than it did', async () => {
    const changed = bundle.replaceAll('activities_1.openTrack)', 'activities_1.countSamples)');
    expect(changed).not.toBe(bundle);
    const results = await replay(changed);
    for (const { workflowId, type } of recorded) {
      const diverges = type === 'train' || type === 'profile';
      expect({ workflowId, failed: results.get(workflowId) !== undefined }).toEqual({ workflowId, failed: diverges });
    }
  });
});
