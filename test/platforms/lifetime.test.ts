import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { CreateAliasCommand, GetAliasCommand, type LambdaClient, PublishVersionCommand } from '@aws-sdk/client-lambda';
import { buildSync } from 'esbuild';
import { openLambdaClient } from '../../platforms';
import type { InstanceStatus } from '../../platforms/local-lambda';
import { alive, call, create, parentOf, removeTemporaryFolders, startTestServer, temporaryFolder, until } from './support';

const room = join(__dirname, '..', '..', 'platforms', 'local-lambda');
const programs = temporaryFolder();
const children: ChildProcess[] = [];

beforeAll(() => {
  buildSync({
    entryPoints: ['main', 'bootstrap', 'supervisor'].map((name) => join(room, `${name}.ts`)),
    outdir: programs,
    bundle: true,
    platform: 'node',
    target: 'node20',
    logLevel: 'error',
  });
});
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  removeTemporaryFolders();
});

interface Running {
  readonly process: ChildProcess;
  readonly endpoint: string;
  readonly port: number;
  readonly client: LambdaClient;
}
function spawnServer(...args: string[]): ChildProcess {
  const child = spawn(process.execPath, [join(programs, 'main.js'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  return child;
}
async function startProcess(...args: string[]): Promise<Running> {
  const child = spawnServer(...args);
  const [line] = (await once(createInterface({ input: child.stdout as NodeJS.ReadableStream }), 'line')) as [string];
  const { endpoint, port } = JSON.parse(line) as { endpoint: string; port: number };
  return { process: child, endpoint, port, client: openLambdaClient({ endpoint }) };
}
async function pidsOf(endpoint: string): Promise<number[]> {
  const instances = (await (await fetch(`${endpoint}/smlt/instances`)).json()) as InstanceStatus[];
  return instances.map(({ pid }) => pid as number);
}

it('knows its functions, versions and aliases again after a restart', async () => {
  const stateDir = temporaryFolder();
  const before = await startTestServer({ stateDir });
  await before.create('kept', { Environment: { Variables: { COLOR: 'red' } } });
  await before.client.send(new PublishVersionCommand({ FunctionName: 'kept' }));
  await before.client.send(new CreateAliasCommand({ FunctionName: 'kept', Name: 'live', FunctionVersion: '1' }));
  await before.close();
  const after = await startTestServer({ stateDir });
  expect((await after.client.send(new GetAliasCommand({ FunctionName: 'kept', Name: 'live' }))).FunctionVersion).toBe('1');
  expect((await after.call('kept', {}, 'live')).answer).toMatchObject({ color: 'red', version: '1' });
  await after.close();
});

it('leaves nothing running when it is closed in the middle of a call', async () => {
  const server = await startTestServer();
  await server.create('busy');
  const called = server.call('busy', { sleepMs: 20_000 }).catch((error: Error) => error);
  await until('the call runs', () => server.instances().some(({ state }) => state === 'busy'));
  const pid = server.instances()[0]?.pid as number;
  await server.close();
  expect(alive(pid)).toBe(false);
  await called;
});

it.each([['SIGKILL'], ['SIGTERM']] as const)('takes its instances with it within seconds when it gets %s, computing ones too', async (signal) => {
  const server = await startProcess('--state-dir', temporaryFolder(), '--no-throttle-cpu');
  await create(server.client, 'busy');
  await create(server.client, 'idle');
  await call(server.client, 'idle', {});
  call(server.client, 'busy', { spinMs: 60_000 }).catch(() => undefined);
  await until('both run', async () => (await pidsOf(server.endpoint)).filter((pid) => pid !== undefined).length === 2);
  await new Promise((resolve) => setTimeout(resolve, 300)); // into the computation
  const pids = await pidsOf(server.endpoint);
  server.process.kill(signal);
  await until('all instances are gone', () => !pids.some(alive), 8_000);
  server.client.destroy();
});

(existsSync('/proc/self/status') ? it : it.skip)('goes on with a new supervisor when the old one is killed', async () => {
  const server = await startTestServer();
  await server.create('main');
  const { answer } = await server.call('main');
  const called = server.call('main', { sleepMs: 10_000 });
  await until('the call runs', () => server.instances().some(({ state }) => state === 'busy'));
  process.kill(parentOf(answer['pid'] as number), 'SIGKILL');
  expect((await called).answer['errorMessage']).toMatch(/signal: killed/);
  await until('the instance is gone', () => !alive(answer['pid'] as number));
  expect((await server.call('main')).answer['calls']).toBe(1);
  await server.close();
});

it('says so, and ends, when its port is taken or its options are wrong', async () => {
  const first = await startProcess('--state-dir', temporaryFolder());
  const fails = async (...args: string[]): Promise<string> => {
    const child = spawnServer(...args);
    let words = '';
    child.stderr?.on('data', (part: Buffer) => (words += part.toString()));
    const [code] = (await once(child, 'close')) as [number];
    expect(code).toBe(1);
    return words;
  };
  expect(await fails('--state-dir', temporaryFolder(), '--port', String(first.port))).toMatch(new RegExp(`port ${first.port} on 127.0.0.1 is taken`));
  expect(await fails('--state-dir', temporaryFolder(), '--port', 'http')).toMatch(/--port is "http"; expected a whole number/);
  expect(await fails()).toMatch(/--state-dir/);
  first.client.destroy();
  first.process.kill('SIGTERM');
  await once(first.process, 'exit');
});
