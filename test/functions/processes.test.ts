/** @jest-environment ./test/support/native-arrays.ts */
import type { ChildProcess } from 'node:child_process';
import { FunctionProcess } from './function-process';
import { Rig, type Track } from './rig';

const STEPS = 60;
const WORKERS = 3;
jest.setTimeout(120_000);

const functionProcess = new FunctionProcess();
let rig: Rig;
beforeAll(async () => {
  await functionProcess.build();
  rig = await Rig.open({ times: { waitMs: 200, giveUpMs: 5_000, lookMs: 100, marginMs: 50 } });
});
afterAll(async () => {
  await rig.close();
  await functionProcess.remove();
});

async function trainInProcesses(track: Track, kills: number): Promise<number> {
  const plan = await track.plan({ workers: WORKERS, steps: STEPS });
  const alive = new Map<number, ChildProcess>();
  let killed = 0;
  const drive = async (worker: number): Promise<void> => {
    for (let attempt = 0; attempt < 30; attempt++) {
      const answer = await functionProcess.train(rig, plan, worker, (child) => alive.set(worker, child));
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
