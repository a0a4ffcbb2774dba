import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpuMsFromProc, hasProc, residentFromProc, residentFromPs } from '../../platforms/local-lambda/memory';

const onLinux = hasProc ? it : it.skip;

const hasPs = spawnSync('ps', ['-o', 'rss=', '-p', '1']).error === undefined;
(hasProc && hasPs ? it : it.skip)('reads the same resident memory from /proc and from ps', () => {
  const exact = residentFromProc(process.pid);
  const asPs = residentFromPs([process.pid, 2 ** 22 - 1]);
  expect([...asPs.keys()]).toEqual([process.pid]);
  expect(exact?.nowKib).toBeGreaterThan(10_000);
  expect(Math.abs((asPs.get(process.pid) as number) / (exact?.nowKib as number) - 1)).toBeLessThan(0.2);
  expect(exact?.peakKib).toBeGreaterThanOrEqual(exact?.nowKib as number);
});

describe('the CPU time of a process', () => {
  const children = new Set<ChildProcess>();
  afterEach(() => children.forEach((child) => child.kill('SIGKILL')));

  /** Burns 200 ms, says what it has used in all, and waits; with a depth it first starts one more like itself and adds what that one says. */
  const burner = `
    const { spawn } = require('node:child_process');
    const say = (others) => {
      const end = process.cpuUsage().user + 200_000;
      while (process.cpuUsage().user < end);
      const { user, system } = process.cpuUsage();
      console.log(others + (user + system) / 1_000);
    };
    const depth = Number(process.argv[1]);
    if (depth > 0) spawn(process.execPath, ['-e', process.env.BURNER, String(depth - 1)], { stdio: ['inherit', 'pipe', 'inherit'] }).stdout.once('data', (text) => say(Number(text)));
    else say(0);
    process.stdin.on('end', () => process.exit()).resume();
  `;
  async function burnt(depth: number): Promise<{ pid: number; saidMs: number }> {
    const child = spawn(process.execPath, ['-e', burner, String(depth)], {
      env: { ...process.env, BURNER: burner },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    children.add(child);
    const [text] = (await once(child.stdout, 'data')) as [Buffer];
    return { pid: child.pid!, saidMs: Number(text.toString()) };
  }

  onLinux('is what the process itself knows', async () => {
    const { pid, saidMs } = await burnt(0);
    expect(Math.abs(cpuMsFromProc(pid)! - saidMs)).toBeLessThan(100);
  });

  onLinux('holds that of its live children', async () => {
    const { pid, saidMs } = await burnt(1);
    expect(Math.abs(cpuMsFromProc(pid)! - saidMs)).toBeLessThan(100);
  });
});

onLinux('has nothing to say of a process that is gone', () => {
  expect(residentFromProc(2 ** 22 - 1)).toBeUndefined();
  expect(cpuMsFromProc(2 ** 22 - 1)).toBeUndefined();
});
