import { spawnSync } from 'node:child_process';
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

onLinux('reads the CPU time that the process itself knows', () => {
  const end = process.cpuUsage().user + 50_000;
  while (process.cpuUsage().user < end);
  const { user, system } = process.cpuUsage();
  expect(Math.abs((cpuMsFromProc(process.pid) as number) - (user + system) / 1_000)).toBeLessThan(60);
});

onLinux('has nothing to say of a process that is gone', () => {
  expect(residentFromProc(2 ** 22 - 1)).toBeUndefined();
  expect(cpuMsFromProc(2 ** 22 - 1)).toBeUndefined();
});
