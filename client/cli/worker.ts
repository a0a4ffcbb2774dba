import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { Command } from 'commander';
import { cacheDir, packageRoot } from '../home';

/** `smlt worker`: the Temporal worker alone, for production and compose files. Its settings come from the environment. */
export function workerCommand(): Command {
  return new Command('worker').description('run the Temporal worker alone, against TEMPORAL_ADDRESS or a profile').action(async () => {
    const environment = { ...process.env, SMLT_CACHE_DIR: cacheDir(process.env) };
    const child = spawn(process.execPath, [join(packageRoot(), 'dist', 'worker', 'main.js')], { env: environment, stdio: 'inherit', detached: true });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill('SIGTERM'));
    process.exitCode = await new Promise<number>((resolve) => child.once('close', (code, signal) => resolve(code ?? (signal === 'SIGTERM' ? 0 : 1))));
  });
}
