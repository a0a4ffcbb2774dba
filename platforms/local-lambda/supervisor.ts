/**
 * The parent of all function instances; a program of its own, started by the server. Why it exists:
 * 1. When the server dies, however it dies, the channel closes and every instance's process group is killed at once.
 * 2. It watches memory and shares out CPU without waiting for the server's event loop.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { cpuMsFromProc, hasProc, residentFromProc, residentFromPs } from './memory';
import type { FromSupervisor, StartMessage, ToSupervisor } from './supervisor-protocol';

interface Watched {
  readonly start: StartMessage;
  readonly child: ChildProcess;
  readonly pid: number;
  /** Loading its code: watched like a busy one, but with all the CPU it wants, as on Lambda. */
  initialising: boolean;
  busy: boolean;
  peakKib: number;
  outOfMemory: boolean;
  /** CPU time it may still use before it is stopped: grows with its share, shrinks with use. */
  allowanceMs: number;
  cpuMs: number;
  stopped: boolean;
}

const MEMORY_LOOK_MS = hasProc ? 10 : 200;
const IDLE_LOOKS = 25; // idle instances are looked at once in so many looks
const CPU_LOOK_MS = 5;
const CPU_BURST_MS = 20; // Lambda's own accounting period

const watched = new Map<string, Watched>();
let looks = 0;

function say(message: FromSupervisor): void {
  if (process.connected) process.send?.(message);
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // the group is gone already
  }
}

function start(message: StartMessage): void {
  let log: number;
  try {
    log = openSync(message.logPath, 'a');
  } catch (error) {
    say({ kind: 'failed', id: message.id, message: (error as Error).message });
    return;
  }
  const child = spawn(message.command, message.args, {
    cwd: message.cwd,
    env: message.env,
    detached: true, // a process group of its own, so that its children die with it
    stdio: ['pipe', log, log], // stdin is never written: its end tells an instance that its supervisor is gone
  });
  closeSync(log);
  child.stdin?.on('error', () => undefined);
  const { pid } = child;
  if (pid === undefined) {
    child.once('error', (error) => say({ kind: 'failed', id: message.id, message: error.message }));
    return;
  }
  const entry: Watched = {
    start: message,
    child,
    pid,
    initialising: true,
    busy: false,
    peakKib: 0,
    outOfMemory: false,
    allowanceMs: CPU_BURST_MS,
    cpuMs: 0,
    stopped: false,
  };
  watched.set(message.id, entry);
  setMemoryTimer();
  say({ kind: 'started', id: message.id, pid });
  child.once('exit', (code, signal) => {
    watched.delete(message.id);
    setMemoryTimer();
    signalGroup(pid, 'SIGKILL'); // what it started must not outlive it
    say({ kind: 'exited', id: message.id, code, signal, outOfMemory: entry.outOfMemory, peakKib: entry.peakKib });
  });
}

function setBusy(id: string, busy: boolean): void {
  const entry = watched.get(id);
  if (!entry) return;
  entry.busy = busy;
  entry.initialising = false;
  entry.cpuMs = cpuMsFromProc(entry.pid) ?? 0;
  if (!busy && entry.stopped) resume(entry);
  setCpuTimer();
  setMemoryTimer();
}

function noteMemory(entry: Watched, nowKib: number, peakKib: number): void {
  if (peakKib > entry.peakKib) {
    entry.peakKib = peakKib;
    if (!hasProc) say({ kind: 'memory', id: entry.start.id, peakKib }); // on Linux the server reads it itself, fresher
  }
  if (Math.max(nowKib, peakKib) > entry.start.memoryLimitKib && !entry.outOfMemory) {
    entry.outOfMemory = true;
    signalGroup(entry.pid, 'SIGKILL');
  }
}

let memoryTimer: NodeJS.Timeout | undefined;
let memoryTimerMs = 0;

/** Looks often only while something works: a supervisor of idle instances should cost next to nothing. */
function setMemoryTimer(): void {
  const working = [...watched.values()].some((entry) => entry.busy || entry.initialising);
  const wantedMs = watched.size === 0 ? 0 : working ? MEMORY_LOOK_MS : MEMORY_LOOK_MS * IDLE_LOOKS;
  if (wantedMs === memoryTimerMs) return;
  memoryTimerMs = wantedMs;
  clearInterval(memoryTimer);
  memoryTimer = wantedMs === 0 ? undefined : setInterval(lookAtMemory, wantedMs);
}

function lookAtMemory(): void {
  looks += 1;
  const all = memoryTimerMs !== MEMORY_LOOK_MS || looks % IDLE_LOOKS === 0;
  const due = [...watched.values()].filter((entry) => all || entry.busy || entry.initialising);
  if (hasProc) {
    for (const entry of due) {
      const resident = residentFromProc(entry.pid);
      if (resident) noteMemory(entry, resident.nowKib, resident.peakKib);
    }
    return;
  }
  const sizes = residentFromPs(due.map((entry) => entry.pid));
  for (const entry of due) noteMemory(entry, sizes.get(entry.pid) ?? 0, sizes.get(entry.pid) ?? 0);
}

function resume(entry: Watched): void {
  entry.stopped = false;
  signalGroup(entry.pid, 'SIGCONT');
}

let cpuTimer: NodeJS.Timeout | undefined;
let lastCpuLookAt = 0;

const throttledEntries = () => [...watched.values()].filter((entry) => entry.busy && entry.start.cpuShare < 1);

function setCpuTimer(): void {
  const needed = throttledEntries().length > 0;
  if (needed && !cpuTimer) {
    lastCpuLookAt = performance.now();
    cpuTimer = setInterval(shareCpu, CPU_LOOK_MS);
  } else if (!needed && cpuTimer) {
    clearInterval(cpuTimer);
    cpuTimer = undefined;
  }
}

/** A token bucket each: on average nobody gets more CPU time than its share of the wall clock. */
function shareCpu(): void {
  const now = performance.now();
  const wallMs = now - lastCpuLookAt;
  lastCpuLookAt = now;
  for (const entry of throttledEntries()) {
    // Without /proc nobody says what was used: running time counts as used.
    const cpuMs = cpuMsFromProc(entry.pid) ?? entry.cpuMs + (entry.stopped ? 0 : wallMs);
    const usedMs = Math.max(0, cpuMs - entry.cpuMs); // the time of a child that ended is no longer in the sum
    entry.allowanceMs = Math.min(CPU_BURST_MS, entry.allowanceMs + entry.start.cpuShare * wallMs - usedMs);
    entry.cpuMs = cpuMs;
    if (!entry.stopped && entry.allowanceMs < 0) {
      entry.stopped = true;
      signalGroup(entry.pid, 'SIGSTOP');
    } else if (entry.stopped && entry.allowanceMs >= 0) resume(entry);
  }
}

function killAll(): void {
  for (const entry of watched.values()) signalGroup(entry.pid, 'SIGKILL');
}

process.on('message', (message: ToSupervisor) => {
  switch (message.kind) {
    case 'start':
      return start(message);
    case 'busy':
      return setBusy(message.id, message.busy);
  }
});
process.on('disconnect', () => {
  killAll();
  process.exit(0);
});
// A terminal's Ctrl-C is the server's affair: it ends us by closing the channel.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.on('uncaughtException', (error) => {
  process.stderr.write(`${error.stack}\n`);
  killAll();
  process.exit(1);
});
