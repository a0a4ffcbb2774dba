import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateFunctionCommand, InvokeCommand, type LambdaClient, type CreateFunctionCommandInput } from '@aws-sdk/client-lambda';
import { strToU8, zipSync } from 'fflate';
import { openLambdaClient } from '../../platforms';
import { startLocalLambda, type LocalLambda, type LocalLambdaOptions } from '../../platforms/local-lambda';

export const role = 'arn:aws:iam::123456789012:role/test';

/** Starting processes on a busy machine takes what it takes: a test fails by what it sees, not by how long it took. */
jest.setTimeout(30_000);

/** One function that does what its event says. */
const SOURCE = `
let calls = 0;
exports.train = async (event, context) => {
  calls += 1;
  if (event.print) console.log(event.print);
  if (event.throw) { class Unhappy extends Error { name = 'Unhappy' }; throw new Unhappy(event.throw); }
  if (event.exit !== undefined) process.exit(event.exit);
  if (event.signal) process.kill(process.pid, event.signal);
  if (event.hogMib) { global.hog = []; for (let i = 0; i < event.hogMib; i += 8) global.hog.push(Buffer.alloc(8 << 20, 1)); }
  if (event.sleepMs) await new Promise((resolve) => setTimeout(resolve, event.sleepMs));
  if (event.write) require('node:fs').writeFileSync(event.write, 'ran');
  if (event.spinMs) { const end = process.cpuUsage().user / 1000 + event.spinMs; while (process.cpuUsage().user / 1000 < end); }
  if (event.answerBytes) return 'x'.repeat(event.answerBytes);
  return { calls, pid: process.pid, event, version: context.functionVersion, remainingMs: context.getRemainingTimeInMillis(),
    name: context.functionName, memory: context.memoryLimitInMB, arn: context.invokedFunctionArn, color: process.env.COLOR };
};
exports.evaluate = exports.train;
`;

export const zipOf = (files: Record<string, string>): Uint8Array =>
  zipSync(Object.fromEntries(Object.entries(files).map(([path, text]) => [path, strToU8(text)])), { mtime: new Date(1990, 0, 1) });
export const testZip = zipOf({ 'index.js': SOURCE });

export interface TestServer extends LocalLambda {
  readonly client: LambdaClient;
  readonly stateDir: string;
  create(name: string, change?: Partial<CreateFunctionCommandInput>): Promise<void>;
  call(name: string, event?: unknown, qualifier?: string): Promise<Called>;
}
export interface Called {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- the tests' own functions answer what the tests say
  readonly answer: any;
  readonly functionError: string | undefined;
  readonly version: string | undefined;
  readonly log: string;
}

const folders: string[] = [];
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'smlt-test-'));
  folders.push(folder);
  return folder;
}
export function removeTemporaryFolders(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

/** A server of the test's own, and the real AWS SDK as its client. */
export async function startTestServer(options: Partial<LocalLambdaOptions> = {}): Promise<TestServer> {
  const stateDir = options.stateDir ?? temporaryFolder();
  const server = await startLocalLambda({ throttleCpu: false, ...options, stateDir });
  const client = openLambdaClient({ endpoint: server.endpoint });
  return {
    ...server,
    client,
    stateDir,
    close: async () => {
      client.destroy();
      await server.close();
    },
    create: (name, change) => create(client, name, change),
    call: (name, event = {}, qualifier) => call(client, name, event, qualifier),
  };
}

export async function create(client: LambdaClient, name: string, change: Partial<CreateFunctionCommandInput> = {}): Promise<void> {
  await client.send(
    new CreateFunctionCommand({
      FunctionName: name,
      Runtime: 'nodejs22.x',
      Role: role,
      Handler: 'index.train',
      Code: { ZipFile: testZip },
      Timeout: 20,
      MemorySize: 256,
      ...change,
    }),
  );
}

export async function call(client: LambdaClient, name: string, event: unknown, qualifier?: string): Promise<Called> {
  const answer = await client.send(
    new InvokeCommand({
      FunctionName: name,
      LogType: 'Tail',
      Payload: Buffer.from(JSON.stringify(event)),
      ...(qualifier === undefined ? {} : { Qualifier: qualifier }),
    }),
  );
  return {
    answer: JSON.parse(Buffer.from(answer.Payload ?? []).toString()),
    functionError: answer.FunctionError,
    version: answer.ExecutedVersion,
    log: Buffer.from(answer.LogResult ?? '', 'base64').toString(),
  };
}

/** Linux only. */
export function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);
}

export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Waits until it is so, looking often; fails after the limit. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>, limitMs = 10_000): Promise<void> {
  const end = Date.now() + limitMs;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`after ${limitMs} ms still not so: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
