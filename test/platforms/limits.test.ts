import { readFileSync } from 'node:fs';
import { InvokeCommand, PutFunctionConcurrencyCommand } from '@aws-sdk/client-lambda';
import { hasProc } from '../../platforms/local-lambda/memory';
import { removeTemporaryFolders, startTestServer, until, zipOf, type TestServer } from './support';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ limits: { concurrency: 3 } });
  await server.create('main', { Timeout: 20 });
});
afterAll(async () => {
  await server.close();
  removeTemporaryFolders();
});

it('kills what uses more memory than its size, and remembers why', async () => {
  const { functionError, answer, log } = await server.call('main', { hogMib: 400 });
  expect(functionError).toBe('Unhandled');
  expect(answer['errorType']).toBe('Runtime.ExitError');
  expect(answer['errorMessage']).toMatch(/^RequestId: [0-9a-f-]{36} Error: Runtime exited with error: signal: killed$/);
  expect(log).toMatch(/\tMemory Size: 256 MB\tMax Memory Used: 256 MB\t/);
  expect(server.bills().at(-1)).toMatchObject({ kind: 'outOfMemory', maxMemoryMib: 256 });
});

it('knows the end of V8’s own heap for what it is', async () => {
  const source = `
    exports.train = () => { const kept = []; for (;;) kept.push(new Array(1000).fill(kept.length + 0.5)); };`;
  await server.create('heap', {
    MemorySize: 1_024,
    Environment: { Variables: { NODE_OPTIONS: '--max-old-space-size=40' } },
    Code: { ZipFile: zipOf({ 'index.js': source }) },
  });
  const { functionError, answer, log } = await server.call('heap');
  expect([functionError, answer.errorType]).toEqual(['Unhandled', 'Runtime.ExitError']);
  expect(log).toMatch(/heap out of memory/);
  expect(server.bills().at(-1)).toMatchObject({ kind: 'outOfMemory' });
});

it('lets a function use the memory it has', async () => {
  const { functionError, log } = await server.call('main', { hogMib: 120 });
  expect(functionError).toBeUndefined();
  expect(Number(/Max Memory Used: (\d+)/.exec(log)?.[1])).toBeGreaterThan(120);
});

it.each([
  [{ exit: 7 }, /Runtime exited with error: exit status 7$/],
  [{ exit: 0 }, /Runtime exited without providing a reason$/],
  [{ signal: 'SIGKILL' }, /Runtime exited with error: signal: killed$/],
  [{ signal: 'SIGSEGV' }, /Runtime exited with error: signal: segmentation fault/],
])('reports an exit by %j as a crash, and the next call starts anew', async (event, message) => {
  const { functionError, answer } = await server.call('main', { ...event, sleepMs: 2_000 });
  expect([functionError, answer['errorType']]).toEqual(['Unhandled', 'Runtime.ExitError']);
  expect(answer['errorMessage']).toMatch(message);
  expect(server.bills().at(-1)).toMatchObject({ kind: 'crashed' });
  expect((await server.call('main')).answer['calls']).toBe(1);
});

it('ends a function at its time limit and bills exactly that', async () => {
  await server.create('short', { Timeout: 1 });
  const { functionError, answer, log } = await server.call('short', { sleepMs: 10_000 });
  expect([functionError, answer['errorType']]).toEqual(['Unhandled', 'Sandbox.Timedout']);
  expect(answer['errorMessage']).toMatch(/Task timed out after 1\.00 seconds$/);
  expect(log).toMatch(/\tStatus: timeout\t/);
  expect(server.bills().at(-1)).toMatchObject({ kind: 'timedOut', durationMs: 1_000 });
});

it('throttles at the function’s reserved concurrency, with the reason', async () => {
  await server.create('reserved');
  await server.client.send(new PutFunctionConcurrencyCommand({ FunctionName: 'reserved', ReservedConcurrentExecutions: 1 }));
  const first = server.call('reserved', { sleepMs: 2_000 });
  await until('the first call runs', () => server.instances().some((instance) => instance.function === 'reserved' && instance.state === 'busy'));
  const billsBefore = server.bills().length;
  await expect(server.call('reserved')).rejects.toMatchObject({
    name: 'TooManyRequestsException',
    Reason: 'ReservedFunctionConcurrentInvocationLimitExceeded',
    $metadata: { httpStatusCode: 429 },
  });
  expect(server.bills().length).toBe(billsBefore); // what is throttled is not billed
  await first;
  await server.client.send(new PutFunctionConcurrencyCommand({ FunctionName: 'reserved', ReservedConcurrentExecutions: 0 }));
  await expect(server.call('reserved')).rejects.toMatchObject({ name: 'TooManyRequestsException' });
});

it('throttles at the account’s concurrency, with the reason', async () => {
  const three = [1, 2, 3].map(() => server.call('main', { sleepMs: 2_000 }));
  await until('three calls run', () => server.instances().filter(({ state }) => state === 'busy' || state === 'starting').length === 3);
  await expect(server.call('main')).rejects.toMatchObject({ name: 'TooManyRequestsException', Reason: 'ConcurrentInvocationLimitExceeded' });
  await Promise.all(three);
  expect((await server.call('main')).functionError).toBeUndefined();
});

it('refuses an event of more than 6 MB, and an answer of more than 6 MB', async () => {
  await expect(server.call('main', 'x'.repeat(6_291_556))).rejects.toMatchObject({
    name: 'RequestTooLargeException',
    $metadata: { httpStatusCode: 413 },
  });
  expect((await server.call('main', { fill: 'x'.repeat(6_000_000) })).functionError).toBeUndefined();
  const large = await server.call('main', { answerBytes: 6_300_000 });
  expect([large.functionError, large.answer['errorType']]).toEqual(['Unhandled', 'Function.ResponseSizeTooLarge']);
  expect((await server.call('main')).functionError).toBeUndefined();
});

it('refuses an event that is not JSON', async () => {
  await expect(server.client.send(new InvokeCommand({ FunctionName: 'main', Payload: Buffer.from('{no') }))).rejects.toMatchObject({
    name: 'InvalidRequestContentException',
  });
});

it('gives a small function its share of a core, and a large one all of it', async () => {
  const throttling = await startTestServer({ throttleCpu: true });
  try {
    await throttling.create('small', { MemorySize: 354 }); // a fifth of 1,769
    await throttling.create('large', { MemorySize: 1_769 });
    /** How long 120 ms of computing took, and whether the process was seen stopped meanwhile: other load slows, but never stops. */
    const measure = async (name: string): Promise<{ durationMs: number; stopped: boolean }> => {
      const pid = (await throttling.call(name)).answer.pid as number; // initialisation is not throttled
      let stopped = false;
      const look = setInterval(() => (stopped ||= stateOf(pid) === 'T'), 2);
      await throttling.call(name, { spinMs: 120 });
      clearInterval(look);
      return { durationMs: throttling.bills().at(-1)?.durationMs as number, stopped };
    };
    const small = await measure('small');
    expect(small.durationMs).toBeGreaterThan(450); // 120 ms of CPU at a fifth, less the burst
    const large = await measure('large');
    if (hasProc) expect([small.stopped, large.stopped]).toEqual([true, false]);
  } finally {
    await throttling.close();
  }
});

const stateOf = (pid: number): string | undefined =>
  hasProc ? /^State:\s+(\w)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] : undefined;
