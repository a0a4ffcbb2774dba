import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

/** Resident memory of a process and its descendants. `peakKib` is what the kernel remembers where it does (Linux). */
export interface ResidentMemory {
  readonly nowKib: number;
  readonly peakKib: number;
}

const scratch = Buffer.alloc(4096);

function readProc(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return undefined; // the process has ended
  }
  try {
    return scratch.toString('latin1', 0, readSync(fd, scratch, 0, scratch.length, 0));
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}

const field = (status: string, name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);

/** A process may start one from any of its threads; those of the first are what runtimes start. */
function childrenOf(pid: number): number[] {
  const children = readProc(`/proc/${pid}/task/${pid}/children`)?.trim() ?? '';
  return children === '' ? [] : children.split(' ').map(Number);
}

/** Linux: exact, about 30 µs. Undefined when the process is gone or there is no /proc. */
export function residentFromProc(pid: number): ResidentMemory | undefined {
  const status = readProc(`/proc/${pid}/status`);
  if (status === undefined) return undefined;
  let nowKib = field(status, 'VmRSS');
  let peakKib = field(status, 'VmHWM');
  for (const child of childrenOf(pid)) {
    const resident = residentFromProc(child);
    nowKib += resident?.nowKib ?? 0;
    peakKib += resident?.nowKib ?? 0; // peaks of different processes need not coincide
  }
  return { nowKib, peakKib: Math.max(peakKib, nowKib) };
}

/** macOS: one `ps` for all, some milliseconds. */
export function residentFromPs(pids: readonly number[]): Map<number, number> {
  const result = new Map<number, number>();
  if (pids.length === 0) return result;
  let text: string;
  try {
    text = execFileSync('ps', ['-o', 'pid=,rss=', '-p', pids.join(',')], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return result; // ps exits with 1 when none of the processes is left
  }
  for (const line of text.trim().split('\n')) {
    const [pid, rssKib] = line.trim().split(/\s+/).map(Number);
    if (pid !== undefined && rssKib !== undefined) result.set(pid, rssKib);
  }
  return result;
}

/** CPU time that a process and its live descendants have used, in ms; undefined without /proc. */
export function cpuMsFromProc(pid: number): number | undefined {
  const stat = readProc(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The name in brackets may hold spaces, so count from the last bracket: utime and stime are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ownMs = (Number(fields[11]) + Number(fields[12])) * 10; // USER_HZ is 100 on every Linux that Node supports
  return childrenOf(pid).reduce((sum, child) => sum + (cpuMsFromProc(child) ?? 0), ownMs);
}

export const hasProc = (() => {
  try {
    return readFileSync('/proc/self/status', 'latin1').includes('VmRSS');
  } catch {
    return false;
  }
})();
