import { spawn } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../home';
import { lastWords } from './attempts';
import { installProgram, type BringOptions } from './install';
import { TEMPORAL_CLI_VERSION } from './versions';

const LIMIT_MS = 180_000;

/**
 * The SDK downloads while it starts a server; only its file is wanted, so a start that fails afterwards does not matter.
 * It runs in a process of its own, since the download can neither be watched nor ended from inside.
 */
const PROGRAM = `
const { TestWorkflowEnvironment } = require('@temporalio/testing');
const [downloadDir, version] = process.argv.slice(1);
TestWorkflowEnvironment.createLocal({ server: { executable: { type: 'cached-download', downloadDir, version } } })
  .then((environment) => environment.teardown())
  .then(() => process.exit(0), (error) => { console.error(error.message); process.exit(1); });
`;

export async function downloadThroughSdk({ target, environment, log }: BringOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'smlt-temporal-'));
  log(`bringing the Temporal server ${TEMPORAL_CLI_VERSION} (official download, once) ...`);
  const progress = setInterval(() => void bytesIn(folder).then((bytes) => bytes > 0 && log(`  ${(bytes / 1e6).toFixed(0)} MB`)), 2_000);
  try {
    const words = await runProgram(['-e', PROGRAM, folder, `v${TEMPORAL_CLI_VERSION}`], environment);
    const file = (await readdir(folder)).find((name) => name.startsWith('temporal') && !name.endsWith('.downloading'));
    if (file === undefined) throw new Error(words);
    await installProgram(await readFile(join(folder, file)), target);
  } finally {
    clearInterval(progress);
    await rm(folder, { recursive: true, force: true });
  }
}

async function bytesIn(folder: string): Promise<number> {
  const entries = await readdir(folder).catch(() => []);
  const sizes = await Promise.all(entries.map((name) => stat(join(folder, name)).then(({ size }) => size, () => 0))); // prettier-ignore
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Resolves with what the program said on stderr, whatever its exit code: the file decides. */
function runProgram(args: string[], environment: BringOptions['environment']): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: packageRoot(), env: environment, stdio: ['ignore', 'ignore', 'pipe'] });
    let words = '';
    const timer = setTimeout(() => {
      words += `\nno answer within ${LIMIT_MS / 1000} s`;
      child.kill('SIGKILL');
    }, LIMIT_MS);
    child.stderr.on('data', (chunk: Buffer) => (words += chunk.toString()));
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', () => {
      clearTimeout(timer);
      resolve(lastWords(words));
    });
  });
}
