import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InvokeCommand } from '@aws-sdk/client-lambda';
import { alive, removeTemporaryFolders, startTestServer, temporaryFolder, until, zipOf, type TestServer } from './support';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  await server.create('main');
});
afterAll(async () => {
  await server.close();
  removeTemporaryFolders();
});

it('hands the event over and the answer back, cold at first and then warm', async () => {
  const first = await server.call('main', { a: [1, 'ü'] });
  const second = await server.call('main', {});
  expect(first).toMatchObject({ answer: { calls: 1, event: { a: [1, 'ü'] }, name: 'main', memory: '256', version: '$LATEST' }, version: '$LATEST' });
  expect(first.answer['arn']).toBe('arn:aws:lambda:us-east-1:000000000000:function:main');
  expect(first.answer['remainingMs']).toBeGreaterThan(15_000);
  expect(first.answer['remainingMs']).toBeLessThanOrEqual(20_000);
  expect(second.answer).toMatchObject({ calls: 2, pid: first.answer['pid'] });
  expect(first.log).toMatch(/\tInit Duration: \d/);
  expect(second.log).not.toMatch(/Init Duration/);
});

it('writes the log that AWS writes, and bills whole milliseconds, initialisation included', async () => {
  const { log } = await server.call('main', { print: 'so it was' });
  const [start, line, end, report] = log.split('\n');
  const id = /^START RequestId: ([0-9a-f-]{36}) Version: \$LATEST$/.exec(start as string)?.[1];
  expect(line).toMatch(new RegExp(`^\\d{4}-.*Z\\t${id}\\tINFO\\tso it was$`));
  expect(end).toBe(`END RequestId: ${id}`);
  expect(report).toMatch(
    new RegExp(
      `^REPORT RequestId: ${id}\\tDuration: [0-9]+\\.[0-9]{2} ms\\tBilled Duration: [0-9]+ ms\\tMemory Size: 256 MB\\tMax Memory Used: [0-9]+ MB\\t$`,
    ),
  );
  const bills = server.bills();
  for (const bill of bills) expect(bill.billedMs).toBe(Math.max(1, Math.ceil(bill.durationMs + bill.initMs)));
  expect(bills.filter(({ cold }) => cold)).toHaveLength(1);
});

it('keeps no more than the last 4 KB of a log', async () => {
  const { log } = await server.call('main', { print: 'x'.repeat(10_000) });
  expect(Buffer.byteLength(log)).toBe(4_096);
  expect(log).toMatch(/REPORT RequestId/);
});

it('says what a function threw, as a function error inside a success', async () => {
  const { functionError, answer } = await server.call('main', { throw: 'not today' });
  expect(functionError).toBe('Unhandled');
  expect(answer).toMatchObject({ errorType: 'Unhappy', errorMessage: 'not today' });
});

it('runs one call at a time in a process, and others beside it', async () => {
  const both = await Promise.all([server.call('main', { sleepMs: 1_000 }), server.call('main', { sleepMs: 1_000 })]);
  expect(both[0].answer['pid']).not.toBe(both[1].answer['pid']);
});

it('ends what has been idle for long', async () => {
  const impatient = await startTestServer({ idleMs: 300 });
  await impatient.create('main');
  const pid = (await impatient.call('main')).answer.pid as number;
  await until('the idle instance is gone', () => !alive(pid));
  await until('the server knows of none', () => impatient.instances().length === 0);
  await impatient.close();
});

it('lets a function run on when its caller hangs up', async () => {
  const path = join(temporaryFolder(), 'mark');
  const stop = new AbortController();
  const called = server.client.send(new InvokeCommand({ FunctionName: 'main', Payload: JSON.stringify({ sleepMs: 1_500, write: path }) }), {
    abortSignal: stop.signal,
  });
  const billsBefore = server.bills().length;
  await until('the call has begun', () => server.instances().some(({ state }) => state === 'busy'));
  stop.abort();
  await expect(called).rejects.toMatchObject({ name: 'AbortError' });
  await until('the function has ended', () => existsSync(path));
  await until('it was billed', () => server.bills().length > billsBefore);
  expect(server.bills().at(-1)).toMatchObject({ kind: 'returned' });
});

it('runs events after their answer, and dry runs not at all', async () => {
  const path = join(temporaryFolder(), 'mark');
  const dry = await server.client.send(
    new InvokeCommand({ FunctionName: 'main', InvocationType: 'DryRun', Payload: JSON.stringify({ write: path }) }),
  );
  expect(dry.StatusCode).toBe(204);
  expect(existsSync(path)).toBe(false);
  const event = await server.client.send(
    new InvokeCommand({ FunctionName: 'main', InvocationType: 'Event', Payload: JSON.stringify({ write: path }) }),
  );
  expect(event.StatusCode).toBe(202);
  await until('the event ran', () => existsSync(path));
});

it.each([
  ['has a syntax error', 'exports.train = (', 'Runtime.UserCodeSyntaxError'],
  ['imports what is not there', 'require("nobody")', 'Runtime.ImportModuleError'],
  ['does not export its handler', 'exports.other = 1', 'Runtime.HandlerNotFound'],
  ['throws while it loads', 'throw new RangeError("early")', 'RangeError'],
])('fails each call, once, when the code %s', async (_what, source, errorType) => {
  const name = `broken-${errorType.replaceAll('.', '-')}`;
  await server.create(name, { Code: { ZipFile: zipOf({ 'index.js': source }) } });
  const before = server.bills().length;
  const { functionError, answer } = await server.call(name);
  expect([functionError, answer['errorType']]).toEqual(['Unhandled', errorType]);
  expect(server.bills().length).toBe(before + 1);
  expect(server.instances().filter((instance) => instance.function === name && instance.state === 'starting')).toEqual([]);
});

it('serves any client of the Runtime API, such as a program of one’s own', async () => {
  const program = `#!${process.execPath}
const api = 'http://' + process.env.AWS_LAMBDA_RUNTIME_API + '/2018-06-01/runtime/invocation/';
(async () => { for (;;) {
  const next = await fetch(api + 'next');
  const id = next.headers.get('lambda-runtime-aws-request-id');
  const wrong = await fetch(api + 'not-this-one/response', { method: 'POST', body: '1' });
  const answer = { got: await next.json(), wrong: wrong.status, arn: next.headers.get('lambda-runtime-invoked-function-arn'), handler: process.env._HANDLER };
  await fetch(api + id + '/response', { method: 'POST', body: JSON.stringify(answer) });
} })();`;
  await server.create('custom', { Runtime: 'provided.al2023', Handler: 'any.thing', Code: { ZipFile: zipOf({ bootstrap: program }) } });
  expect((await server.call('custom', { a: 1 })).answer).toMatchObject({ got: { a: 1 }, wrong: 400, handler: 'any.thing' });
  expect((await server.call('custom', { a: 2 })).answer).toMatchObject({ got: { a: 2 } });
});

it('takes handlers that call back, and modules in .mjs', async () => {
  await server.create('callback', {
    Code: { ZipFile: zipOf({ 'index.js': 'exports.train = (event, context, done) => setTimeout(() => done(null, event.x * 2), 5)' }) },
  });
  expect((await server.call('callback', { x: 21 })).answer).toBe(42);
  await server.create('module', { Code: { ZipFile: zipOf({ 'index.mjs': 'export const train = async ({ x }) => x + 1' }) } });
  expect((await server.call('module', { x: 1 })).answer).toBe(2);
});
