import { fork, type ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { createHash } from 'node:crypto';
import { buildSync } from 'esbuild';

const root = resolve(__dirname, '../..');
const built = new Map<string, string>();

/** Compiles a TypeScript program once, so that tests can run it in processes of its own. Returns the path to fork. */
export function compileProgram(path: string): string {
  const known = built.get(path);
  if (known !== undefined) return known;
  const { outputFiles } = buildSync({
    entryPoints: [path],
    bundle: true,
    platform: 'node',
    target: 'node20',
    packages: 'external',
    write: false,
    logLevel: 'error',
  });
  const code = outputFiles[0]?.text ?? '';
  // Below the project, so that packages are found; named by content, so that parallel test files do not disturb each other.
  const folder = join(root, '.cache', 'test');
  const file = join(folder, `${basename(path, '.ts')}-${createHash('sha256').update(code).digest('hex').slice(0, 16)}.js`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, code);
  built.set(path, file);
  return file;
}

export interface ChildOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** Run as another user; only root may. */
  readonly uid?: number;
}

/** Starts a compiled program. It talks back through `process.send`. */
export function startChild(program: string, args: readonly string[], { env, uid }: ChildOptions = {}): ChildProcess {
  return fork(program, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: [],
    ...(uid === undefined ? {} : { uid }),
  });
}

/** The next message that a child sends. Rejects when it ends without one. */
export function nextMessage<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolveMessage, reject) => {
    const onExit = (code: number | null, signal: string | null) => reject(new Error(`the child ended (${code ?? signal}) without a message`));
    child.once('exit', onExit);
    child.once('message', (message) => {
      child.off('exit', onExit);
      resolveMessage(message as T);
    });
  });
}

/** Kills a child with SIGKILL and waits until it is gone. */
export async function killChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((done) => child.once('exit', done));
  child.kill('SIGKILL');
  await gone;
}
