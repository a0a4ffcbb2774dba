import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, renameSync, statSync, type WriteStream } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { SmltError } from '../../contracts/errors';
import { endProcess, identify, type ProcessId } from './processes';

export interface ServiceDefinition {
  readonly name: 'temporal' | 'lambda' | 'worker';
  /** As people read it: "the Temporal server". */
  readonly title: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Resolves once the service serves; called after each start, with the lines that the process prints. */
  readonly becameReady: (process: { line: (matches: (line: string) => boolean) => Promise<void> }) => Promise<void>;
  readonly readyWithinMs: number;
  readonly graceMs: number;
  /** Deaths within a minute before it is given up. */
  readonly mostDeaths?: number;
}

export interface ServiceEvents {
  readonly onChange: (id: ProcessId | undefined) => void;
  readonly log: (line: string) => void;
  /** Restarting did not help. */
  readonly onGivenUp: (error: SmltError) => void;
}

const MOST_DEATHS = 8;
const DEATHS_WITHIN_MS = 60_000;
const LOG_BYTES = 10_000_000;
const KEPT_LINES = 30;

/** One supervised process: started, watched, started again when it dies (bounded), ended by its id. */
export class Service {
  private child: ChildProcess | undefined;
  private id: ProcessId | undefined;
  private ending = false;
  private deaths: number[] = [];
  private readonly lastLines: string[] = [];
  private lineWatchers: ((line: string) => void)[] = [];
  private readonly output: WriteStream;

  constructor(
    private readonly definition: ServiceDefinition,
    readonly logFile: string,
    private readonly events: ServiceEvents,
  ) {
    rotate(logFile);
    this.output = createWriteStream(logFile, { flags: 'a' });
    this.output.on('error', (error) => events.log(`cannot write ${logFile}: ${error.message}`));
  }

  /** @throws {SmltError} `TemporalUnavailable` or `PlatformUnavailable` with the process's last words */
  async start(): Promise<void> {
    const { command, args, environment, title, readyWithinMs } = this.definition;
    const child = spawn(command, args, {
      env: environment,
      // A group of its own: Ctrl-C must reach the supervisor only, which ends its children in order.
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.child = child;
    for (const stream of [child.stdout, child.stderr]) this.record(stream);
    const died = new Promise<never>((_, reject) => {
      child.once('error', (error) => reject(this.failure(`${title} cannot be started (${command}): ${error.message}`)));
      // `close`, not `exit`: its last words have been read by then.
      child.once('close', (code, signal) => reject(this.failure(`${title} ended ${signal ? `by ${signal}` : `with exit code ${code}`}`)));
    });
    died.catch(() => undefined);
    if (child.pid !== undefined) {
      this.id = identify(child.pid);
      this.events.onChange(this.id);
    }
    const timeout = new AbortController();
    const late = sleep(readyWithinMs, undefined, { signal: timeout.signal }).then(() => {
      throw this.failure(`${title} was not ready within ${readyWithinMs / 1000} s`);
    });
    late.catch(() => undefined);
    try {
      await Promise.race([this.definition.becameReady({ line: (matches) => this.line(matches) }), died, late]);
    } catch (error) {
      if (this.id) await endProcess(this.id, 1_000);
      throw error;
    } finally {
      timeout.abort();
    }
    child.once('close', (code, signal) => void this.diedWhileServing(code, signal));
    if (child.exitCode !== null || child.signalCode !== null) void this.diedWhileServing(child.exitCode, child.signalCode);
  }

  async stop(): Promise<void> {
    this.ending = true;
    this.child?.stdin?.end();
    if (this.id) await endProcess(this.id, this.definition.graceMs);
    this.output.end();
  }

  private handled: ChildProcess | undefined;
  private async diedWhileServing(code: number | null, signal: NodeJS.Signals | null): Promise<void> {
    if (this.ending || this.handled === this.child) return;
    this.handled = this.child;
    this.id = undefined;
    this.events.onChange(undefined);
    const { title } = this.definition;
    this.events.log(`${title} ended ${signal ? `by ${signal}` : `with exit code ${code}`}; starting it again`);
    while (!this.ending) {
      const now = Date.now();
      this.deaths = [...this.deaths.filter((atMs) => atMs > now - DEATHS_WITHIN_MS), now];
      if (this.deaths.length > (this.definition.mostDeaths ?? MOST_DEATHS)) {
        this.events.onGivenUp(this.failure(`${title} ended ${this.deaths.length} times within ${DEATHS_WITHIN_MS / 1000} s; smlt gave up`));
        return;
      }
      await sleep(Math.min(5_000, 100 * 2 ** (this.deaths.length - 1)));
      if (this.ending) return;
      try {
        await this.start();
        return;
      } catch (error) {
        this.events.log((error as Error).message);
      }
    }
  }

  private record(stream: NodeJS.ReadableStream): void {
    let rest = '';
    stream.on('data', (chunk: Buffer) => {
      if (!this.output.writableEnded) this.output.write(chunk); // a process that was made to end may have said more than was read
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        this.lastLines.push(line);
        if (this.lastLines.length > KEPT_LINES) this.lastLines.shift();
        for (const watcher of this.lineWatchers) watcher(line);
      }
    });
  }

  private line(matches: (line: string) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const watcher = (line: string) => {
        if (!matches(line)) return;
        this.lineWatchers = this.lineWatchers.filter((other) => other !== watcher);
        resolve();
      };
      this.lineWatchers.push(watcher);
    });
  }

  private failure(what: string): SmltError {
    const words = this.lastLines
      .filter((line) => line.trim() !== '')
      .slice(-6)
      .map((line) => `  | ${line}`)
      .join('\n');
    const code = this.definition.name === 'lambda' ? 'PlatformUnavailable' : 'TemporalUnavailable';
    return new SmltError(code, `${what}.${words === '' ? '' : ` Its last words:\n${words}`}\nEverything it said is in ${this.logFile}.`);
  }
}

function rotate(logFile: string): void {
  try {
    if (statSync(logFile).size > LOG_BYTES) renameSync(logFile, `${logFile}.old`);
  } catch {
    // There is no log yet.
  }
}
