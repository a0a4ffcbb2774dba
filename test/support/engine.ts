import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { devServerArguments } from '../../client/temporal/dev-server';
import { findTemporalBinary } from '../../client/temporal/find-binary';
import { openExchange, openObjectStore } from '../../storage';
import { freePort } from './ports';

const ROOT = join(__dirname, '..', '..');
/** Programs that tests bring, kept between runs. */
export const TEST_CACHE = join(ROOT, '.cache', 'test');

export interface EngineOptions {
  readonly functionTimeoutMs?: number;
  readonly concurrency?: number;
  /** Left out: files in memory of this engine's own. */
  readonly exchangeUri?: string;
  /** For all its processes, such as credentials. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** A whole engine of real processes for one test file: Temporal server, Lambda server, Temporal worker, in a folder of its own. */
export async function startEngine(options: EngineOptions = {}) {
  const children = new Set<ChildProcess>();
  try {
    return await launchEngine(options, children);
  } catch (error) {
    for (const child of children) child.kill('SIGKILL');
    throw error;
  }
}

async function launchEngine(options: EngineOptions, children: Set<ChildProcess>) {
  const home = mkdtempSync(join(tmpdir(), 'smlt-test-'));
  const log = join(home, 'log');
  mkdirSync(log);
  const { path } = await findTemporalBinary({ environment: process.env, cache: TEST_CACHE, mayDownload: true, log: () => undefined });
  const [port, uiPort] = [await freePort(), await freePort()];
  const taskQueue = `smlt-test-${process.pid}-${port}`;

  const startTemporal = () => launch(path, devServerArguments({ port, uiPort, database: join(home, 'temporal.db') }), {});
  const temporal = startTemporal();
  const lambda = await launchReady(
    'dist/platforms/local-lambda/main.js',
    ['--state-dir', join(home, 'lambda'), '--concurrency', String(options.concurrency ?? 64)],
    {},
  );
  const lambdaEndpoint = lambda.ready['endpoint'] as string;
  const connection = await connectSoon(`127.0.0.1:${port}`);
  const client = new Client({ connection });
  const storeUri = pathToFileURL(join(home, 'store')).href;
  const exchangeDir = mkdtempSync(join('/dev/shm', 'smlt-test-'));
  const exchangeUri = options.exchangeUri ?? `tmpfs://${exchangeDir}`;

  const startWorker = async (environment: Readonly<Record<string, string>> = {}) =>
    (
      await launchReady('dist/worker/main.js', [], {
        TEMPORAL_ADDRESS: `127.0.0.1:${port}`,
        SMLT_TASK_QUEUE: taskQueue,
        SMLT_STORE_URI: storeUri,
        SMLT_EXCHANGE_URI: exchangeUri,
        SMLT_LAMBDA_ENDPOINT: lambdaEndpoint,
        SMLT_CACHE_DIR: join(TEST_CACHE, 'packages'),
        ...(options.functionTimeoutMs === undefined ? {} : { SMLT_FUNCTION_TIMEOUT_MS: String(options.functionTimeoutMs) }),
        ...environment,
      })
    ).child;
  let worker = await startWorker();

  function launch(command: string, args: readonly string[], environment: Record<string, string>): ChildProcess {
    const child = spawn(command, args, {
      cwd: ROOT,
      env: { ...process.env, ...options.environment, ...environment },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    children.add(child);
    child.once('exit', () => children.delete(child));
    child.stderr?.on('data', (chunk: Buffer) => {
      if (process.env['SMLT_TEST_LOG']) process.stderr.write(chunk);
    });
    return child;
  }
  async function launchReady(
    script: string,
    args: readonly string[],
    environment: Record<string, string>,
  ): Promise<{ child: ChildProcess; ready: Record<string, unknown> }> {
    const child = launch(process.execPath, [join(ROOT, script), ...args], environment);
    let words = '';
    child.stderr?.on('data', (chunk: Buffer) => (words += chunk.toString()));
    const ready = await new Promise<Record<string, unknown>>((resolve, reject) => {
      let text = '';
      child.stdout?.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        const line = text.split('\n').find((one) => one.startsWith('{'));
        if (line && text.includes('\n')) resolve(JSON.parse(line) as Record<string, unknown>);
      });
      child.once('exit', (code) => reject(new Error(`${script} ended with ${code}: ${words}`)));
    });
    return { child, ready };
  }
  const controls = async (path_: string, init?: RequestInit): Promise<unknown> => {
    const answer = await fetch(`${lambdaEndpoint}${path_}`, init);
    if (!answer.ok) throw new Error(`${path_}: ${answer.status} ${await answer.text()}`);
    const text = await answer.text();
    return text === '' ? null : (JSON.parse(text) as unknown);
  };

  return {
    client,
    lambdaEndpoint,
    home,
    taskQueue,
    storeUri,
    exchangeUri,
    address: `127.0.0.1:${port}`,
    temporalPath: path,
    store: await openObjectStore(storeUri),
    exchange: await openExchange(exchangeUri),
    /** Runs a workflow to its end. */
    run: <T>(type: string, workflowId: string, input: unknown): Promise<T> =>
      client.workflow.execute(type, { taskQueue, workflowId, args: [input] }) as Promise<T>,
    start: (type: string, workflowId: string, input: unknown) => client.workflow.start(type, { taskQueue, workflowId, args: [input] }),
    bills: async () => (await controls('/smlt/bills')) as { function: string; billedMs: number; memoryMib: number; kind: string }[],
    instances: async () => (await controls('/smlt/instances')) as { pid: number }[],
    setFaults: (plan: unknown) => controls('/smlt/faults', { method: 'PUT', body: JSON.stringify(plan) }),
    faultCounts: async () => (await controls('/smlt/faults')) as { matched: number; fired: number }[],
    killWorker: () => worker.kill('SIGKILL'),
    restartWorker: async (environment: Readonly<Record<string, string>> = {}) => {
      worker = await startWorker(environment);
    },
    async close(): Promise<void> {
      await connection.close();
      const alive = [...children];
      const ended = alive.map((child) => new Promise((resolve) => child.once('exit', resolve)));
      for (const child of alive) child.kill(child === temporal ? 'SIGTERM' : 'SIGKILL');
      await Promise.all(ended);
      rmSync(home, { recursive: true, force: true });
      rmSync(exchangeDir, { recursive: true, force: true });
    },
  };
}
export type Engine = Awaited<ReturnType<typeof startEngine>>;

async function connectSoon(address: string): Promise<Connection> {
  for (let attempt = 0; ; attempt++) {
    try {
      const connection = await Connection.connect({ address, connectTimeout: 1_000 });
      await connection.workflowService.describeNamespace({ namespace: 'default' });
      return connection;
    } catch (error) {
      if (attempt > 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
