import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const binary = resolve(__dirname, '../../bin/smlt.js');

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The built `smlt` in a home of its own, deaf to the settings of whoever runs the tests. */
export class SmltProcesses {
  readonly home = mkdtempSync(join(tmpdir(), 'smlt-home-'));
  private readonly running = new Set<ChildProcess>();

  environment(changes: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
    const inherited = Object.entries(process.env).filter(([name]) => !/^(TEMPORAL_|SMLT_(?!CACHE_DIR|TEMPORAL_PATH)|CI$)/.test(name));
    return { ...Object.fromEntries(inherited), SMLT_HOME: this.home, ...changes };
  }

  /** Starts a command; `said` resolves once its stdout or stderr matches. */
  start(args: readonly string[], changes: NodeJS.ProcessEnv = {}) {
    const child = spawn(process.execPath, [binary, ...args], { env: this.environment(changes), stdio: ['ignore', 'pipe', 'pipe'] });
    this.running.add(child);
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()));
    const finished = new Promise<Finished>((settle) =>
      child.once('close', (code) => {
        this.running.delete(child);
        settle({ code, ...output });
      }),
    );
    const said = async (words: RegExp) => {
      while (!words.test(output.stdout + output.stderr)) {
        if (child.exitCode !== null) throw new Error(`smlt ${args.join(' ')} ended with ${child.exitCode}:\n${output.stdout}${output.stderr}`);
        await sleep(25);
      }
    };
    return { child, finished, said };
  }

  run(args: readonly string[], changes: NodeJS.ProcessEnv = {}): Promise<Finished> {
    return this.start(args, changes).finished;
  }

  /** Ends everything and removes the home. */
  async close(): Promise<void> {
    await this.run(['dev', 'stop']);
    for (const child of this.running) child.kill('SIGKILL');
    rmSync(this.home, { recursive: true, force: true });
  }
}

export async function until<T>(what: string, look: () => T | undefined | Promise<T | undefined>, withinMs = 20_000): Promise<T> {
  for (const endMs = Date.now() + withinMs; Date.now() < endMs; await sleep(50)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  throw new Error(`${what}: not within ${withinMs / 1_000} s`);
}
