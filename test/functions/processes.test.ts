/** @jest-environment ./test/support/native-arrays.ts */
import { execFile, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { TrainAnswer, type RoundPlan } from '../../contracts/round';
import { Rig, type Track } from './rig';

const STEPS = 60;
const WORKERS = 3;
jest.setTimeout(120_000);

let folder: string;
let rig: Rig;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'smlt-bundle-'));
  await build({
    entryPoints: [resolve('functions/index.ts')],
    outfile: join(folder, 'index.js'),
    bundle: true,
    platform: 'node',
    external: ['onnxruntime-node', '@aws-sdk/*'],
    logLevel: 'error',
  });
  rig = await Rig.open({ times: { waitMs: 200, giveUpMs: 5_000, lookMs: 100, marginMs: 50 } });
});
afterAll(async () => {
  await rig.close();
  await rm(folder, { recursive: true, force: true });
});

const program = `require(process.argv[1]).train(JSON.parse(process.argv[2]), { getRemainingTimeInMillis: () => 60000 })
  .then((answer) => process.stdout.write(JSON.stringify(answer), () => process.exit(0)))`;

/** One process, one invocation. Undefined when it was killed. */
function spawnWorker(plan: RoundPlan, worker: number, started: (child: ChildProcess) => void): Promise<TrainAnswer | undefined> {
  const { run, track, round } = plan;
  const assignment = { storeUri: rig.store.uri, run, track, round, worker, memoryMib: 512 };
  return new Promise((done, fail) => {
    const child = execFile(
      process.execPath,
      ['-e', program, join(folder, 'index.js'), JSON.stringify(assignment)],
      { env: { ...process.env, NODE_PATH: resolve('node_modules') } },
      (error, stdout, stderr) => {
        if (error?.signal === 'SIGKILL') return done(undefined);
        const answer = error ? undefined : TrainAnswer.safeParse(JSON.parse(stdout.trimEnd().split('\n').at(-1)!));
        if (answer?.success) done(answer.data);
        else fail(new Error(`worker ${worker}: ${stdout} ${stderr}`));
      },
    );
    started(child);
  });
}

async function trainInProcesses(track: Track, kills: number): Promise<number> {
  const plan = await track.plan({ workers: WORKERS, steps: STEPS });
  const alive = new Map<number, ChildProcess>();
  let killed = 0;
  const drive = async (worker: number): Promise<void> => {
    for (let attempt = 0; attempt < 30; attempt++) {
      const answer = await spawnWorker(plan, worker, (child) => alive.set(worker, child));
      alive.delete(worker);
      if (answer?.kind === 'done') return;
    }
    throw new Error(`worker ${worker} does not come to an end`);
  };
  const driving = Promise.all(Array.from({ length: WORKERS }, (_, worker) => drive(worker)));
  const killer = (async () => {
    // By the step that is being made, so that a kill falls into the work on a fast machine as on a slow one.
    for (let step = 4; killed < kills && alive.size > 0; step += 7) {
      const names = plan.cut.rangeBorders
        .slice(1)
        .map((end, w) => `runs/run/${track.name}/${plan.recipe}/steps/${step}/params/${plan.cut.rangeBorders[w]}-${end}`);
      for (let waits = 0; waits < 200 && !(await rig.exchange.present(names)).some(Boolean); waits++)
        await rig.exchange.waitFor([names[0]!], { timeoutMs: 50 });
      const victim = alive.get(killed % WORKERS);
      if (victim?.kill('SIGKILL')) killed++;
    }
  })();
  await Promise.all([driving, killer]);
  await track.commit(plan);
  return killed;
}

describe('workers in processes of their own', () => {
  it('leave the same bits as one worker in one process, also when they are killed with SIGKILL in mid-step', async () => {
    const alone = rig.track('alone');
    await alone.round({ workers: 1, steps: STEPS });
    const expected = await alone.weightsSha256();

    const undisturbed = rig.track('undisturbed');
    await trainInProcesses(undisturbed, 0);
    expect(await undisturbed.weightsSha256()).toBe(expected);

    const killed = rig.track('killed');
    expect(await trainInProcesses(killed, 6)).toBeGreaterThan(2);
    expect(await killed.weightsSha256()).toBe(expected);
  });
});
