import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** A process id alone may be somebody else's by now; with the moment it started it names one process. */
export interface ProcessId {
  readonly pid: number;
  readonly startedAs: string;
}

/** When a process started, as its system writes it; undefined when it is gone. */
function startOf(pid: number): string | undefined {
  if (process.platform === 'linux') {
    try {
      // Field 22, counted after the name in parentheses, which may hold spaces. A zombie (state Z) has ended.
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[0] === 'Z' ? undefined : fields[19];
    } catch {
      return undefined;
    }
  }
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim() || undefined;
  } catch {
    return undefined;
  }
}

export function identify(pid: number): ProcessId {
  return { pid, startedAs: startOf(pid) ?? 'ended' };
}

export function isAlive({ pid, startedAs }: ProcessId): boolean {
  return startOf(pid) === startedAs;
}

/** Asks a process to end, and makes it when it has not after `graceMs`. */
export async function endProcess(id: ProcessId, graceMs: number): Promise<void> {
  if (!signal(id, 'SIGTERM')) return;
  for (const endMs = Date.now() + graceMs; Date.now() < endMs; await sleep(25)) if (!isAlive(id)) return;
  signal(id, 'SIGKILL');
  for (const endMs = Date.now() + 5_000; Date.now() < endMs && isAlive(id);) await sleep(25);
}

function signal(id: ProcessId, name: NodeJS.Signals): boolean {
  if (!isAlive(id)) return false;
  try {
    process.kill(id.pid, name);
    return true;
  } catch {
    return false; // it ended in between
  }
}
