import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { removeTemporaryFolders, startTestServer, temporaryFolder, type TestServer } from './support';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  await server.create('main');
  await server.call('main');
});
afterAll(async () => {
  await server.close();
  removeTemporaryFolders();
});
afterEach(() => server.setFaults([]));

it('kills a function while it works', async () => {
  server.setFaults([{ action: { kind: 'kill', afterMs: 50 } }]);
  const { answer } = await server.call('main', { sleepMs: 5_000 });
  expect(answer['errorMessage']).toMatch(/signal: killed/);
  expect(server.bills().at(-1)).toMatchObject({ kind: 'crashed' });
});

it('kills a function that has done its work and was about to say so', async () => {
  const path = join(temporaryFolder(), 'mark');
  server.setFaults([{ action: { kind: 'killBeforeResponse' } }]);
  const { functionError } = await server.call('main', { write: path });
  expect([functionError, existsSync(path)]).toEqual(['Unhandled', true]);
  expect((await server.call('main')).functionError).toBeUndefined();
});

it('throttles and fails without running or billing anything', async () => {
  const before = server.bills().length;
  server.setFaults([{ action: { kind: 'throttle' } }, { nth: 2, action: { kind: 'serverError' } }]);
  await expect(server.call('main')).rejects.toMatchObject({ name: 'TooManyRequestsException' });
  await expect(server.call('main')).rejects.toMatchObject({ name: 'ServiceException', $metadata: { httpStatusCode: 500 } });
  expect(server.bills().length).toBe(before);
});

it('drops the connection of a call that ran, and bills it', async () => {
  const before = server.bills().length;
  server.setFaults([{ action: { kind: 'dropConnection' } }]);
  await expect(server.call('main')).rejects.toThrow(/socket hang up|ECONNRESET|aborted/);
  expect(server.bills().length).toBe(before + 1);
});

it('delays a call without billing the delay', async () => {
  server.setFaults([{ action: { kind: 'delay', ms: 400 } }]);
  const start = performance.now();
  await server.call('main');
  const wholeMs = performance.now() - start;
  expect(wholeMs - server.bills().at(-1)!.durationMs).toBeGreaterThanOrEqual(399);
});

it('strikes the invocations it names, and only those, as often as it says', async () => {
  const plan = [{ function: 'ma*', payload: { worker: 1, 'at.round': 2 }, nth: 2, times: 2, action: { kind: 'throttle' } }];
  const put = await fetch(`${server.endpoint}/smlt/faults`, { method: 'PUT', body: JSON.stringify(plan) });
  expect(put.status).toBe(200);
  const strikes: boolean[] = [];
  for (const event of [{ worker: 0, at: { round: 2 } }, ...Array.from({ length: 4 }, () => ({ worker: 1, at: { round: 2 } }))]) {
    strikes.push(
      await server.call('main', event).then(
        () => false,
        () => true,
      ),
    );
  }
  expect(strikes).toEqual([false, false, true, true, false]);
  expect(await (await fetch(`${server.endpoint}/smlt/faults`)).json()).toMatchObject([{ matched: 4, fired: 2 }]);
});

it('refuses a plan that it does not understand', async () => {
  const put = await fetch(`${server.endpoint}/smlt/faults`, { method: 'PUT', body: JSON.stringify([{ action: { kind: 'explode' } }]) });
  expect(put.status).toBe(400);
  expect(await put.text()).toMatch(/action\.kind/);
});
