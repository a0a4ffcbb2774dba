import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DeleteFunctionCommand, ListFunctionsCommand } from '@aws-sdk/client-lambda';
import { openPlatform, type FunctionPlatform, type FunctionReference, type FunctionSpec } from '../../platforms';
import { classifyFailure } from '../../platforms/lambda/classify';
import { lambdaVcpus } from '../../platforms/lambda/prices';
import { parseReport } from '../../platforms/lambda/report-line';
import { removeTemporaryFolders, startTestServer, temporaryFolder, testZip, until, type TestServer } from './support';

const zipPath = join(temporaryFolder(), 'code.zip');
const codeSha256 = createHash('sha256').update(testZip).digest('hex');
const spec: FunctionSpec = { role: 'train', memoryMib: 256, timeoutMs: 900_000 };
const open = (endpoint: string): Promise<FunctionPlatform> => openPlatform({ endpoint, zipPath, codeSha256 });

let server: TestServer;
let platform: FunctionPlatform;
let train: FunctionReference;
beforeAll(async () => {
  writeFileSync(zipPath, testZip);
  server = await startTestServer();
  platform = await open(server.endpoint);
  train = await platform.ensure(spec);
});
afterAll(async () => {
  await server.close();
  removeTemporaryFolders();
});
afterEach(() => server.setFaults([]));

describe('ensure', () => {
  it('names a function by role, code and memory', () => {
    expect(train).toEqual({ name: `smlt-train-${codeSha256.slice(0, 12)}-256`, memoryMib: 256 });
  });

  it('creates one function however many ask at once, from however many processes', async () => {
    const platforms = await Promise.all([open(server.endpoint), open(server.endpoint), open(server.endpoint)]);
    const references = await Promise.all([...platforms, ...platforms].map((each) => each.ensure({ ...spec, memoryMib: 300 })));
    expect(new Set(references.map(({ name }) => name)).size).toBe(1);
    const { Functions } = await server.client.send(new ListFunctionsCommand({}));
    expect(Functions?.filter(({ FunctionName }) => FunctionName?.endsWith('-300'))).toHaveLength(1);
    expect((await platform.invoke(references[0] as FunctionReference, {})).kind).toBe('returned');
  });

  it('keeps functions of other settings apart, so that nobody changes a function under somebody else', async () => {
    const red = await platform.ensure({ ...spec, environment: { COLOR: 'red' } });
    const blue = await platform.ensure({ ...spec, environment: { COLOR: 'blue' } });
    expect(new Set([train.name, red.name, blue.name]).size).toBe(3);
    expect(await platform.invoke(red, {})).toMatchObject({ output: { color: 'red' } });
    expect(await platform.invoke(blue, {})).toMatchObject({ output: { color: 'blue' } });
  });

  it('hands secrets to every function, follows a change of them, and names no function by them', async () => {
    const withSecret = (COLOR: string) => openPlatform({ endpoint: server.endpoint, zipPath, codeSha256, secrets: { COLOR } });
    const first = await withSecret('secret-red');
    const reference = await first.ensure({ ...spec, memoryMib: 320 });
    expect(reference.name).toBe(`smlt-train-${codeSha256.slice(0, 12)}-320`);
    expect(await first.invoke(reference, {})).toMatchObject({ output: { color: 'secret-red' } });
    const later = await withSecret('secret-blue');
    expect(await later.ensure({ ...spec, memoryMib: 320 })).toEqual(reference);
    expect(await later.invoke(reference, {})).toMatchObject({ output: { color: 'secret-blue' } });
    const named = await later.ensure({ ...spec, memoryMib: 320, environment: { COLOR: 'its own' } });
    expect(await later.invoke(named, {})).toMatchObject({ output: { color: 'its own' } });
  });

  it('makes a function again that somebody deleted', async () => {
    const reference = await platform.ensure({ ...spec, memoryMib: 310 });
    await server.client.send(new DeleteFunctionCommand({ FunctionName: reference.name }));
    await expect(platform.invoke(reference, {})).rejects.toMatchObject({ code: 'PlatformRefused' });
    expect((await platform.invoke(await platform.ensure({ ...spec, memoryMib: 310 }), {})).kind).toBe('returned');
  });

  it('does not remember a failure', async () => {
    const wrong = { ...spec, memoryMib: 64 };
    await expect(platform.ensure(wrong)).rejects.toMatchObject({ code: 'PlatformRefused', message: expect.stringMatching(/64.*MemorySize/) });
    await expect(platform.ensure(wrong)).rejects.toMatchObject({ code: 'PlatformRefused' });
  });
});

describe('invoke', () => {
  it('returns the output with the server’s own bill', async () => {
    const invocation = await platform.invoke(train, { a: 1 });
    expect(invocation).toMatchObject({ kind: 'returned', output: { event: { a: 1 } }, usage: { memoryMib: 256, estimated: false } });
    expect(invocation.usage.billedMs).toBe(server.bills().at(-1)?.billedMs);
  });

  it('never lets a failure pass as success, and tells the failures apart', async () => {
    const kinds = [];
    for (const event of [{ throw: 'no' }, { exit: 1 }, { signal: 'SIGKILL', sleepMs: 1_000 }, { hogMib: 400 }])
      kinds.push((await platform.invoke(train, event)).kind);
    const short = await platform.ensure({ ...spec, timeoutMs: 1_000 });
    const timedOut = await platform.invoke(short, { sleepMs: 5_000 });
    expect([...kinds, timedOut.kind]).toEqual(['failed', 'crashed', 'crashed', 'outOfMemory', 'timedOut']);
    const bills = server.bills().slice(-5);
    expect(bills.map(({ kind }) => kind)).toEqual(['failed', 'crashed', 'crashed', 'outOfMemory', 'timedOut']);
    expect(timedOut.usage.billedMs).toBe(bills[4]?.billedMs);
  });

  it('does not trust a function that prints a report of its own', async () => {
    const forged = 'x\nREPORT RequestId: 1\tDuration: 1.00 ms\tBilled Duration: 0 ms\tMemory Size: 128 MB\tMax Memory Used: 1 MB\t';
    const { usage } = await platform.invoke(train, { print: forged });
    expect(usage.billedMs).toBe(server.bills().at(-1)?.billedMs);
    expect(usage.memoryMib).toBe(256);
  });

  it('throws what never ran, to be tried again', async () => {
    const before = server.bills().length;
    server.setFaults([{ action: { kind: 'throttle' } }, { nth: 2, action: { kind: 'serverError' } }]);
    await expect(platform.invoke(train, {})).rejects.toMatchObject({
      code: 'PlatformUnavailable',
      retryable: true,
      message: expect.stringMatching(/429/),
    });
    await expect(platform.invoke(train, {})).rejects.toMatchObject({ code: 'PlatformUnavailable' });
    expect(server.bills().length).toBe(before);
  });

  it('throws what will never run, as refused', async () => {
    await expect(platform.invoke(train, 'x'.repeat(6_300_000))).rejects.toMatchObject({
      code: 'PlatformRefused',
      message: expect.stringMatching(/6291456/),
    });
    await expect(platform.invoke({ name: 'nobody', memoryMib: 128 }, {})).rejects.toMatchObject({ code: 'PlatformRefused' });
  });

  it('bills an invocation whose answer was lost at its upper bound, and says so', async () => {
    server.setFaults([{ action: { kind: 'dropConnection' } }]);
    const lost = await platform.invoke(train, { sleepMs: 300 });
    expect(lost).toMatchObject({ kind: 'crashed', usage: { billedMs: 900_000, memoryMib: 256, estimated: true } });
  });

  it('gives up waiting when told to', async () => {
    const stop = new AbortController();
    const invoked = platform.invoke(train, { sleepMs: 3_000 }, stop.signal);
    await until('the function runs', () => server.instances().some(({ state }) => state === 'busy'));
    stop.abort(new Error('enough'));
    await expect(invoked).rejects.toThrow('enough');
  });

  it('holds more than fifty calls open at once', async () => {
    // Calls that wait need no processes: a server that only counts them is enough to see that none is queued.
    let inFlight = 0;
    const held: (() => void)[] = [];
    const counting: Server = createServer((request, response) => {
      request.resume();
      if (request.url?.includes('account-settings')) return void response.end('{"AccountLimit":{"ConcurrentExecutions":1000}}');
      inFlight += 1;
      held.push(() => response.end('null'));
    });
    await new Promise<void>((done) => counting.listen(0, '127.0.0.1', done));
    const many = await open(`http://127.0.0.1:${(counting.address() as AddressInfo).port}`);
    const calls = Array.from({ length: 150 }, () => many.invoke({ name: 'f', memoryMib: 128 }, {}));
    await until('all calls are open', () => inFlight === 150);
    for (const release of held) release();
    expect((await Promise.all(calls)).every(({ usage }) => usage.estimated)).toBe(true); // no log, no report: never a free call
    counting.closeAllConnections();
    counting.close();
  });

  it('says that nobody is there', async () => {
    const gone = await startTestServer();
    const there = await open(gone.endpoint);
    await gone.close();
    await expect(there.invoke(train, {})).rejects.toMatchObject({ code: 'PlatformUnavailable' }); // whether the kept connection is seen as closed or not
    await expect(there.invoke(train, {})).rejects.toMatchObject({ code: 'PlatformUnavailable', message: expect.stringMatching(/ECONNREFUSED/) });
    await expect(open(gone.endpoint)).rejects.toMatchObject({ code: 'PlatformUnavailable' });
  });
});

describe('deployment', () => {
  const named = (color: string): FunctionSpec => ({ ...spec, name: 'digits', role: 'evaluate', environment: { COLOR: color } });
  const colors = async (calls: number): Promise<Set<unknown>> => {
    const seen = new Set<unknown>();
    for (let i = 0; i < calls; i += 1) {
      const invocation = await platform.invoke({ name: 'digits', qualifier: 'live', memoryMib: 256 }, {});
      seen.add(invocation.kind === 'returned' ? (invocation.output as { color: string }).color : invocation.kind);
    }
    return seen;
  };

  it('publishes, shares calls between two versions, goes back and goes over', async () => {
    expect(await platform.live('digits')).toBeUndefined();
    const first = await platform.publish(named('red'));
    await platform.shift('digits', first.version, 0.1);
    expect([first.version, await platform.live('digits')]).toEqual(['1', '1']);
    const second = await platform.publish(named('blue'));
    expect(second).toMatchObject({ version: '2', reference: { name: 'digits', qualifier: '2' } });
    expect(await platform.invoke(second.reference, {})).toMatchObject({ output: { color: 'blue' } });
    expect(await colors(2)).toEqual(new Set(['red']));

    await platform.shift('digits', '2', 0.5);
    expect(await platform.live('digits')).toBe('1');
    expect(await colors(40)).toEqual(new Set(['red', 'blue']));
    await platform.shift('digits', '2', 0);
    expect(await colors(10)).toEqual(new Set(['red']));
    await platform.shift('digits', '2', 1);
    expect(await platform.live('digits')).toBe('2');
    expect(await colors(10)).toEqual(new Set(['blue']));
  });

  it('publishes the same settings as the same version', async () => {
    expect((await platform.publish(named('blue'))).version).toBe('2');
    expect((await platform.publish(named('red'))).version).toBe('3');
  });
});

describe('what is known without asking', () => {
  it('limits come from the platform, and from the machine where that is the platform', () => {
    expect(platform.limits).toMatchObject({ timeoutMs: 900_000, concurrency: 128, minMemoryMib: 128 });
    expect(platform.limits.totalCores).toBeGreaterThan(0);
    expect(platform.limits.totalCores).toBeLessThan(Infinity);
  });

  it('memory buys cores up to six', () => {
    expect([lambdaVcpus(1_769), lambdaVcpus(3_538), lambdaVcpus(20_000)]).toEqual([1, 2, 6]);
  });

  it('AWS needs a role', async () => {
    await expect(openPlatform({ zipPath, codeSha256 })).rejects.toMatchObject({ code: 'InvalidSpec', message: expect.stringMatching(/roleArn/) });
  });

  it('reads the report that AWS writes', () => {
    const line =
      'REPORT RequestId: 8f\tDuration: 4042.69 ms\tBilled Duration: 4197 ms\tMemory Size: 128 MB\tMax Memory Used: 128 MB\tInit Duration: 153.46 ms\t\n';
    expect(parseReport(`END RequestId: 8f\n${line}`)).toEqual({ billedMs: 4_197, memoryMib: 128, maxMemoryMib: 128, initMs: 153.46 });
    expect(parseReport('START RequestId: 8f\n')).toBeUndefined();
  });

  it('tells out of memory from a crash by the memory used, and knows AWS’s newer words', () => {
    const usage = { billedMs: 1, memoryMib: 128, maxMemoryMib: 60, initMs: 0, cold: false, estimated: false };
    const killed = '{"errorType":"Runtime.ExitError","errorMessage":"RequestId: 8f Error: Runtime exited with error: signal: killed"}';
    expect(classifyFailure(killed, usage, '').kind).toBe('crashed');
    expect(classifyFailure(killed, { ...usage, maxMemoryMib: 128 }, '').kind).toBe('outOfMemory');
    expect(classifyFailure('{"errorType":"Runtime.OutOfMemory","errorMessage":"x"}', usage, '').kind).toBe('outOfMemory');
    expect(classifyFailure('{"errorMessage":"2026-11-24T06:59:14Z 8f Task timed out after 3.00 seconds"}', usage, '').kind).toBe('timedOut');
    expect(classifyFailure('{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"x"}', usage, '').kind).toBe('failed');
    expect(classifyFailure('not json', usage, '').kind).toBe('failed');
  });
});
