import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { SmltError } from '../../contracts/errors';
import type { PythonRuntime } from '../../contracts/functions';
import type { PythonModel } from '../../contracts/model';

export interface EnvironmentOptions {
  /** Virtual environments are kept below it, one for each set of requirements. */
  readonly cacheDir: string;
  /** `SMLT_PYTHON` names the Python that they are made with; left out: `python3` on the PATH. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Told what takes long. */
  readonly tell?: (line: string) => void;
}

const OLDEST_MINOR = 10;
const ALWAYS_NEEDED = 'numpy>=1.24';
const PROBE_MS = 60_000;
const KEPT_LINES = 12;
const run = promisify(execFile);

/**
 * The Python for a program: the one that the model names, or a virtual environment with its requirements, which pip makes
 * once. Safe to race: it appears whole, and who comes second throws his own away.
 * @throws {SmltError} `PythonUnavailable` with pip's own last words
 */
export async function ensurePython({ interpreter, requirements = [] }: PythonModel, options: EnvironmentOptions): Promise<PythonRuntime> {
  if (interpreter !== undefined) {
    const path = interpreter.startsWith('file:') ? fileURLToPath(interpreter) : interpreter;
    const version = await versionOf(path, 'model.interpreter');
    if (!(await imports(path, 'numpy'))) throw unavailable(`model.interpreter: ${path} has no NumPy, which smlt needs; install it there`);
    return { interpreter: path, version };
  }
  const { environment, cacheDir } = options;
  const base = environment['SMLT_PYTHON'] ?? findOnPath('python3', environment);
  if (base === undefined) throw unavailable('no python3 on the PATH, and SMLT_PYTHON names none; expected Python 3.10 or newer');
  const version = await versionOf(base, 'python3');
  const wanted = [...new Set([ALWAYS_NEEDED, ...requirements])].sort();
  const key = createHash('sha256')
    .update(JSON.stringify([version, process.platform, process.arch, wanted]))
    .digest('hex')
    .slice(0, 16);
  const folder = join(cacheDir, 'python', key);
  if (!existsSync(folder)) await (making.get(folder) ?? makeOnce(folder, base, wanted, options));
  return { interpreter: join(folder, 'bin', 'python'), version };
}

/** What this process makes now: two runs that start at once want the same environment. */
const making = new Map<string, Promise<void>>();

function makeOnce(...[folder, ...how]: Parameters<typeof make>): Promise<void> {
  const made = make(folder, ...how).finally(() => making.delete(folder));
  making.set(folder, made);
  return made;
}

async function make(folder: string, base: string, requirements: readonly string[], { tell = () => undefined, cacheDir }: EnvironmentOptions) {
  const aside = `${folder}.${process.pid}.new`;
  mkdirSync(join(cacheDir, 'python'), { recursive: true });
  rmSync(aside, { recursive: true, force: true });
  try {
    tell(`making a Python environment with ${requirements.join(', ')}`);
    try {
      await run(base, ['-m', 'venv', aside]);
    } catch (error) {
      throw unavailable(`${base} -m venv: ${lastLines((error as { stderr?: string }).stderr ?? (error as Error).message)}`, error);
    }
    await install(join(aside, 'bin', 'python'), requirements, tell);
    // Only scripts know where they were made, and only the interpreter is used.
    renameSync(aside, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error; // another process was faster, and its is as good
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

/** pip tells a line for each package that it collects and downloads: what people watch while it takes minutes. */
async function install(python: string, requirements: readonly string[], tell: (line: string) => void): Promise<void> {
  // Through a file, since a line may be an option, such as another index.
  const file = join(dirname(dirname(python)), 'requirements.txt');
  writeFileSync(file, `${requirements.join('\n')}\n`);
  const pip = spawn(python, ['-m', 'pip', 'install', '--disable-pip-version-check', '--no-input', '--progress-bar', 'off', '-r', file], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const last: string[] = [];
  for (const stream of [pip.stdout, pip.stderr])
    createInterface({ input: stream }).on('line', (line) => {
      last.push(line);
      if (last.length > KEPT_LINES) last.shift();
      const short = line.replace(/ \(from [^)]*(\([^)]*\))?\)$/, '').trim();
      if (/^(Collecting|\s*Downloading|Installing|Successfully|ERROR)/.test(line)) tell(short);
    });
  const code = await new Promise<number | null>((resolve, reject) => pip.once('error', reject).once('close', resolve));
  if (code !== 0) throw unavailable(`pip could not install ${requirements.join(', ')}:\n${lastLines(last.join('\n'))}`);
}

async function versionOf(python: string, what: string): Promise<string> {
  let version: string;
  try {
    ({ stdout: version } = await run(python, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'], { timeout: PROBE_MS }));
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such program' : lastLines((error as Error).message);
    throw unavailable(`${what}: ${python} is no Python that runs: ${why}`, error);
  }
  const [major = 0, minor = 0] = version.trim().split('.').map(Number);
  if (major !== 3 || minor < OLDEST_MINOR) throw unavailable(`${what}: ${python} is Python ${version.trim()}; expected 3.${OLDEST_MINOR} or newer`);
  return version.trim();
}

async function imports(python: string, module: string): Promise<boolean> {
  return run(python, ['-c', `import ${module}`], { timeout: PROBE_MS }).then(
    () => true,
    () => false,
  );
}

function findOnPath(name: string, environment: EnvironmentOptions['environment']): string | undefined {
  return (environment['PATH'] ?? '')
    .split(delimiter)
    .filter(isAbsolute)
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
}

const lastLines = (text: string): string => text.trim().split('\n').slice(-KEPT_LINES).join('\n');
const unavailable = (message: string, cause?: unknown) => new SmltError('PythonUnavailable', message, { cause });
