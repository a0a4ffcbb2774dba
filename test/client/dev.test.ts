import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { connect } from '../../client/connect';
import { readDevState, type DevState } from '../../client/dev/dev-state';
import { isAlive } from '../../client/dev/processes';
import { homeAt } from '../../client/home';
import { SmltProcesses, until } from './smlt-process';

jest.setTimeout(120_000);
const smlt = new SmltProcesses();
const job = join(smlt.home, 'demo', 'job.json');
afterAll(() => smlt.close());

const state = (): DevState => JSON.parse(readFileSync(join(smlt.home, 'dev.json'), 'utf8')) as DevState;
async function temporal<T>(ask: (client: Client) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address: state().temporal.address });
  try {
    return await ask(new Client({ connection }));
  } finally {
    await connection.close();
  }
}

/** One story: each part finds what the one before it left. */
describe('smlt dev', () => {
  it('says which port is busy', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    const { code, stderr } = await smlt.run(['dev', '--port', String(port)]);
    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`port ${port} \\(--port\\) is in use`));
    server.close();
  });

  it('passes on what a worker that cannot start said, and leaves nothing behind', async () => {
    const { code, stderr } = await smlt.run(['dev'], { SMLT_FUNCTION_TIMEOUT_MS: 'soon' });
    expect(code).toBe(1);
    expect(stderr).toMatch(/the Temporal worker ended with exit code 1[^]*SMLT_FUNCTION_TIMEOUT_MS/);
    expect(Object.values(state().processes).filter(isAlive)).toEqual([]);
  });

  it('starts in the background for a run, and the run ends well', async () => {
    await smlt.run(['init', join(smlt.home, 'demo')]);
    const small = { ...(JSON.parse(readFileSync(job, 'utf8')) as object), training: { steps: 120, batchSize: 64, lanes: 4, optimizer: { kind: 'adam', learningRate: 0.03 } }, evaluate: { require: { accuracy: 0.8 } } }; // prettier-ignore
    writeFileSync(job, JSON.stringify(small));
    const { code, stdout, stderr } = await smlt.run(['run', job, '--run-id', 'first', '--json']);
    expect(stderr).toMatch(/starting smlt dev in the background/);
    expect(JSON.parse(stdout)).toMatchObject({
      runId: 'first',
      status: 'completed',
      steps: 120,
      stages: { train: 'completed', evaluate: 'completed', deploy: 'completed' },
      weightsSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      uiUrl: `${state().temporal.uiUrl}/namespaces/default/workflows/first`,
    });
    expect(code).toBe(0);
    expect(isAlive(state().supervisor)).toBe(true);
  });

  it('is one a home', async () => {
    const { code, stderr } = await smlt.run(['dev']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/already running in this home/);
  });

  it('answers for the deployed model', async () => {
    const { code, stdout } = await smlt.run(['predict', 'moons', '--data', join(smlt.home, 'demo', 'data', 'test'), '--count', '20', '--json']);
    expect(code).toBe(0);
    const { classes, targets } = JSON.parse(stdout) as { classes: number[]; targets: number[][] };
    expect(classes.filter((label, i) => label === targets[i]?.[0]).length).toBeGreaterThanOrEqual(14);
    const missing = await smlt.run(['predict', 'nobody', '--data', join(smlt.home, 'demo', 'data', 'test')]);
    expect(missing).toMatchObject({ code: 2, stderr: expect.stringMatching(/no model nobody is deployed/) });
  });

  it('writes the deployed model as plain files', async () => {
    const to = join(smlt.home, 'pulled');
    const { code } = await smlt.run(['pull', 'moons', '--to', to]);
    expect(code).toBe(0);
    expect(JSON.parse(readFileSync(join(to, 'model-card.json'), 'utf8'))).toMatchObject({ name: 'moons' });
    // An ONNX model begins with its IR version (field 1, a varint), not with smlt's frame.
    expect(readFileSync(join(to, 'model.onnx'))[0]).toBe(0x08);
    expect(await smlt.run(['pull', 'nobody'])).toMatchObject({ code: 2, stderr: expect.stringMatching(/no model nobody is deployed/) });
  });

  it('gives the same run to the same job under its id, and refuses another job', async () => {
    const again = await smlt.run(['run', job, '--run-id', 'first', '--json']);
    expect(again.code).toBe(0);
    expect(JSON.parse(again.stdout)).toMatchObject({ runId: 'first', steps: 120 });
    expect(again.stderr).toMatch(/was started under this id before/);
    const other = join(smlt.home, 'demo', 'other.json');
    writeFileSync(other, JSON.stringify({ ...(JSON.parse(readFileSync(job, 'utf8')) as object), name: 'other' }));
    const { code, stderr } = await smlt.run(['run', other, '--run-id', 'first']);
    expect(stderr).toMatch(/RunExists: run id first was used for another job \(moons\)/);
    expect(code).toBe(2);
  });

  it('lets the SDK follow a run, change its goal and stop it', async () => {
    const client = await connect({ environment: smlt.environment(), start: false });
    try {
      const previous = await client.newestJob('first');
      const run = await client.start({ ...previous, training: { ...previous.training, steps: 50_000 } }, { runId: 'long' });
      let wished = false;
      for await (const { step } of run.follow({ everyMs: 100 })) {
        if (wished || step === 0) continue;
        wished = true;
        await run.setGoal({ budgetUsd: 0.25, minimize: { usdPerHour: 5 } });
        await run.stop();
      }
      expect(await run.result()).toMatchObject({ status: 'stopped', budgetNanoUsd: 250_000_000, minimize: { usdPerHour: 5 }, totalSteps: 50_000 });
      await expect(run.setGoal({ budgetUsd: 1 })).rejects.toMatchObject({ code: 'RunEnded', message: expect.stringMatching(/ended already/) });
    } finally {
      await client.close();
    }
  });

  it("prints one run's own invocations", async () => {
    const { code, stdout } = await smlt.run(['logs', 'long', '--lines', '1000']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/run=long\n[^]*REPORT RequestId/);
    expect(stdout).not.toMatch(/run=first/);
    expect(await smlt.run(['logs', 'nobody'])).toMatchObject({ code: 2, stderr: expect.stringMatching(/no run nobody in the store/) });
  });

  it('starts its worker again when it is killed', async () => {
    const { worker } = state().processes;
    process.kill(worker!.pid, 'SIGKILL');
    await until('another worker', () => (state().processes.worker && state().processes.worker?.pid !== worker?.pid ? true : undefined));
  });

  it('loses nothing when it is killed, and clears away what that left over', async () => {
    await temporal((client) => client.workflow.start('nobody', { taskQueue: 'nobody', workflowId: 'kept' }));
    const before = state();
    process.kill(before.supervisor.pid, 'SIGKILL');
    const dev = smlt.start(['dev']);
    await dev.said(/Ctrl-C ends it/);
    expect(state().temporal.address).toBe(before.temporal.address);
    expect(Object.values(before.processes).filter(isAlive)).toEqual([]);
    expect(await temporal(async (client) => (await client.workflow.getHandle('kept').describe()).status.name)).toBe('RUNNING');
    const { processes } = state();
    dev.child.kill('SIGINT');
    expect(await dev.finished).toMatchObject({ code: 0, stderr: expect.stringMatching(/smlt dev ends: SIGINT/) });
    expect(Object.values(processes).filter(isAlive)).toEqual([]);
    expect(existsSync(join(smlt.home, 'dev.json'))).toBe(false);
  });

  it('is started anew for a run that comes while it ends', async () => {
    const dev = smlt.start(['dev']);
    await dev.said(/Ctrl-C ends it/);
    dev.child.kill('SIGINT');
    await until('the end', () => (state().state === 'ending' ? true : undefined));
    expect(await smlt.run(['run', job, '--run-id', 'first', '--json'])).toMatchObject({ code: 0 });
    expect((await dev.finished).code).toBe(0);
    await smlt.run(['dev', 'stop']);
  });

  it('ends at once when it is interrupted before it has started', async () => {
    const home = join(smlt.home, 'early');
    const dev = smlt.start(['dev'], { SMLT_HOME: home });
    const processes = () => readDevState(homeAt(home))?.processes ?? {};
    const { temporal: first } = await until('its first process', () => (processes().temporal ? processes() : undefined));
    dev.child.kill('SIGINT');
    expect(await dev.finished).toMatchObject({ code: 130, stderr: expect.stringMatching(/ends before it has started: SIGINT/) });
    expect(isAlive(first!)).toBe(false);
  });

  it('ends by itself in the background when nothing runs', async () => {
    const { code, stderr } = await smlt.run(['dev', '--background', '--idle-minutes', '0.02'], { SMLT_HOME: join(smlt.home, 'idle') });
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/smlt dev ends: nothing ran for 1\.2 s/) });
  });

  it('is not needed to read what runs came to', async () => {
    const { code, stdout } = await smlt.run(['status', 'first', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ runId: 'first', status: 'completed', steps: 120 });
    expect((await smlt.run(['list'])).stdout).toMatch(/first +completed +120\/120/);
  });
});
