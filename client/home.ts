import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/** Everything that smlt keeps on this machine, under `$SMLT_HOME`. */
export interface Home {
  readonly root: string;
  readonly lockFile: string;
  readonly devFile: string;
  readonly portsFile: string;
  /** Its time of change is when somebody last used the running dev server. */
  readonly lastUsedFile: string;
  readonly logs: string;
  readonly temporalDatabase: string;
  readonly storeUri: string;
  readonly functions: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

export function homeOf(environment: Environment = process.env): Home {
  return homeAt(environment['SMLT_HOME'] || join(homedir(), '.smlt'));
}

export function homeAt(path: string): Home {
  const root = resolve(path);
  return {
    root,
    lockFile: join(root, 'dev.lock'),
    devFile: join(root, 'dev.json'),
    portsFile: join(root, 'ports.json'),
    lastUsedFile: join(root, 'last-used'),
    logs: join(root, 'logs'),
    temporalDatabase: join(root, 'temporal.db'),
    storeUri: pathToFileURL(join(root, 'store')).href,
    functions: join(root, 'functions'),
  };
}

/** Downloads and packages that any home may use. */
export function cacheDir(environment: Environment = process.env): string {
  return environment['SMLT_CACHE_DIR'] || join(environment['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'smlt');
}

/** The folder of smlt's package.json: from dist/ as from the sources. */
export function packageRoot(): string {
  let folder = __dirname;
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}

/** Version and build: a running dev server of another one has other code in memory. */
export function smltVersion(): string {
  const root = packageRoot();
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const stamp = join(root, 'dist', 'build.json');
  if (!existsSync(stamp)) return version;
  return `${version}+${(JSON.parse(readFileSync(stamp, 'utf8')) as { buildId: string }).buildId}`;
}
