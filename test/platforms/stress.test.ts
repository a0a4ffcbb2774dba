import { alive, removeTemporaryFolders, startTestServer, until } from './support';

afterAll(removeTemporaryFolders);

it('answers every call, and bills each that ran exactly once, while processes are killed at random', async () => {
  const server = await startTestServer({ limits: { concurrency: 6 } });
  const names = ['a', 'b', 'c'];
  for (const name of names) await server.create(name);
  let draws = 1;
  const draw = (): number => (draws = (draws * 48_271) % 2_147_483_647) / 2_147_483_647;
  const killer = setInterval(() => {
    const live = server.instances().filter(({ pid }) => pid !== undefined);
    const victim = live[Math.floor(draw() * live.length)];
    if (victim && alive(victim.pid as number)) process.kill(victim.pid as number, 'SIGKILL');
  }, 200);
  const counts = { returned: 0, failed: 0, throttled: 0 };
  const caller = async (): Promise<void> => {
    for (let call = 0; call < 20; call += 1) {
      try {
        const event = { sleepMs: draw() < 0.3 ? 50 : 0, hogMib: draw() < 0.05 ? 400 : 0 };
        const { functionError } = await server.call(names[Math.floor(draw() * names.length)] as string, event);
        counts[functionError === undefined ? 'returned' : 'failed'] += 1;
      } catch (error) {
        expect(error).toMatchObject({ name: 'TooManyRequestsException' });
        counts.throttled += 1;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, caller));
  clearInterval(killer);
  const bills = server.bills();
  expect(bills.filter(({ kind }) => kind === 'returned')).toHaveLength(counts.returned);
  expect(bills).toHaveLength(counts.returned + counts.failed);
  expect(new Set(bills.map(({ requestId }) => requestId)).size).toBe(bills.length);
  expect(counts.failed).toBeGreaterThan(0);
  await until('no instance works any more', () => server.instances().every(({ state }) => state === 'idle' || state === 'finishing'));
  await server.close();
});
