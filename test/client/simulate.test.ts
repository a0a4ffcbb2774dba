import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseFaults } from '../../client/simulate/faults';
import { noFaults } from '../../scheduler/simulator';
import { writeQuarters } from '../support/data';
import { SmltProcesses } from './smlt-process';

jest.setTimeout(60_000);

describe('smlt simulate', () => {
  let smlt: SmltProcesses;
  let folder: string;
  let path: string;
  beforeAll(() => {
    smlt = new SmltProcesses();
    folder = mkdtempSync(join(tmpdir(), 'smlt-simulate-'));
    path = join(folder, 'job.json');
    const job = {
      name: 'quarters',
      data: { train: writeQuarters(join(folder, 'train'), 512, 1) },
      model: { layers: ['flatten', { dense: 16 }, 'relu', { dense: 4 }] },
      loss: 'softmax-cross-entropy',
      training: { steps: 300, batchSize: 512, lanes: 64, seed: 3, optimizer: { kind: 'adam', learningRate: 0.01 } },
    };
    writeFileSync(path, JSON.stringify(job));
  });
  afterAll(async () => {
    await smlt.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const run = (...args: string[]) => smlt.run(['simulate', path, ...args]);

  it('shows how a job goes that meets its deadline though machines crash, the same for a seed, and draws it', async () => {
    const args = ['--sample-ms', '20', '--deadline', '40m', '--faults', 'crashesPerHour=10', '--json', '--svg', join(folder, 'run.svg')];
    const [once, again] = await Promise.all([run(...args), run(...args)]);
    expect(once.code).toBe(0);
    const { run: simulated } = JSON.parse(once.stdout) as { run: { outcome: string; steps: number; timeMs: number; counts: { crashes: number } } };
    expect(simulated).toMatchObject({ outcome: 'completed', steps: 300 });
    expect(simulated.timeMs).toBeLessThan(40 * 60_000);
    expect(simulated.counts.crashes).toBeGreaterThan(0);
    expect(again.stdout).toBe(once.stdout);
    const svg = readFileSync(join(folder, 'run.svg'), 'utf8');
    expect(svg).toMatch(/class="crash"/);
    expect(svg).not.toMatch(/NaN|Infinity/);
  });

  it('takes exactly the workers it is told, and says by its exit code that a goal is missed', async () => {
    const { code, stdout } = await run('--workers', '64', '--sample-ms', '500', '--deadline', '2m');
    expect(code).toBe(3);
    expect(stdout).toMatch(/64 workers x/);
    expect(stdout).toMatch(/deadlineReached|infeasibleGoal/);
  });

  it('teaches what it expects', async () => {
    const wrong = await Promise.all([run('--workers', '65'), run('--faults', 'crashs=1'), run('--slower', 'ten'), run('--faults', 'stragglers=3')]);
    expect(wrong.map(({ code }) => code)).toEqual([2, 2, 2, 2]);
    expect(wrong[0].stderr).toMatch(/training\.lanes is 64/);
    expect(wrong[1].stderr).toMatch(/crashs is no fault; there are .*crashesPerHour/);
    expect(wrong[2].stderr).toMatch(/such as 10m:1\.5/);
    expect(wrong[3].stderr).toMatch(/stragglers=3; expected a share from 0 to 1/);
  });

  it('reads faults as changes of what is usual, or of a world without any', () => {
    expect(parseFaults(undefined).stragglers).toBeGreaterThan(0);
    expect(parseFaults('none')).toEqual(noFaults);
    expect(parseFaults('none,crashesPerHour=2')).toEqual({ ...noFaults, crashesPerHour: 2 });
  });
});
