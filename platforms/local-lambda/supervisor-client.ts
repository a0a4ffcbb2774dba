import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { programPath } from './program-path';
import type { ExitedMessage, FromSupervisor, StartMessage, ToSupervisor } from './supervisor-protocol';

/** What becomes of one started process. Exactly one of `failed` and `exited` is called, and it is the last call. */
export interface ProcessEvents {
  started(pid: number): void;
  failed(message: string): void;
  memory(peakKib: number): void;
  exited(message: ExitedMessage): void;
}

/** The server's end of its supervisor. A supervisor that dies takes its instances with it, and the next start brings a new one. */
export class SupervisorClient {
  private child: ChildProcess | undefined;
  private readonly processes = new Map<string, { events: ProcessEvents; pid?: number }>();

  constructor(private readonly logPath: string) {}

  start(message: StartMessage, events: ProcessEvents): void {
    this.processes.set(message.id, { events });
    this.send(message);
  }

  setBusy(id: string, busy: boolean): void {
    if (this.processes.has(id)) this.send({ kind: 'busy', id, busy });
  }

  /** Ends the supervisor, and with it everything that still runs. */
  close(): Promise<void> {
    const { child } = this;
    if (!child || child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => {
      child.once('exit', () => resolve());
      if (child.connected) child.disconnect();
    });
  }

  private send(message: ToSupervisor): void {
    this.child ??= this.open();
    this.child.send(message, (error) => {
      if (error) this.child?.kill('SIGKILL'); // its exit settles every process
    });
  }

  private open(): ChildProcess {
    const log = openSync(this.logPath, 'a');
    const child = spawn(process.execPath, [programPath('supervisor')], { stdio: ['ignore', log, log, 'ipc'], detached: true });
    closeSync(log);
    child.on('message', (message) => this.receive(message as FromSupervisor));
    child.on('error', (error) => this.lost(child, error.message));
    child.on('exit', () => this.lost(child, 'the supervisor of function instances ended'));
    return child;
  }

  private receive(message: FromSupervisor): void {
    const entry = this.processes.get(message.id);
    if (!entry) return;
    switch (message.kind) {
      case 'started':
        entry.pid = message.pid;
        return entry.events.started(message.pid);
      case 'memory':
        return entry.events.memory(message.peakKib);
      case 'failed':
        this.processes.delete(message.id);
        return entry.events.failed(message.message);
      case 'exited':
        this.processes.delete(message.id);
        return entry.events.exited(message);
    }
  }

  private lost(child: ChildProcess, why: string): void {
    if (this.child !== child) return;
    this.child = undefined;
    const orphans = [...this.processes];
    this.processes.clear();
    for (const [id, { events, pid }] of orphans) {
      if (pid === undefined) events.failed(why);
      else {
        killGroup(pid);
        events.exited({ kind: 'exited', id, code: null, signal: 'SIGKILL', outOfMemory: false, peakKib: 0 });
      }
    }
  }
}

export function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // gone already
  }
}
