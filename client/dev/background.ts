import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SmltError } from '../../contracts/errors';
import { packageRoot, smltVersion, type Home } from '../home';
import { readDevState, runningDev, touchLastUsed, type DevState } from './dev-state';
import { fileError } from './files';
import { lockHolder } from './lock';
import { endProcess, isAlive } from './processes';

const STARTED_WITHIN_MS = 600_000; // the first start may bring the Temporal server along
/** What its services have to end, and some more. */
const ENDED_WITHIN_MS = 45_000;
const logOf = (home: Home): string => join(home.logs, 'dev.log');

export interface EnsureDevOptions {
  readonly home: Home;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly log: (line: string) => void;
  /** End the server with this command, when it had to be started for it. */
  readonly ephemeral: boolean;
  /** How many runs the server has open; an old version is replaced only when there is none. */
  readonly openRuns: (state: DevState) => Promise<number>;
}

export interface EnsuredDev {
  readonly state: DevState;
  readonly started: boolean;
}

/** Uses the running dev server, or starts one in the background. Two that start at once end up with the same one. */
export async function ensureDev(options: EnsureDevOptions): Promise<EnsuredDev> {
  const { home, log } = options;
  touchLastUsed(home);
  const running = runningDev(home);
  if (running?.state === 'ready') {
    const version = smltVersion();
    if (running.version === version) return { state: running, started: false };
    const open = await options.openRuns(running).catch(() => 0);
    if (open > 0) {
      log(`smlt dev of version ${running.version} goes on, since it has ${open} open run(s); this is ${version}. Run \`smlt dev stop\` when they are done.`); // prettier-ignore
      return { state: running, started: false };
    }
    log(`restarting smlt dev: ${running.version} is running and this is ${version}; nothing is lost`);
    await stopDev(home);
  }
  await untilEnded(home);
  const starting = runningDev(home) !== undefined || lockHolder(home.lockFile) !== undefined;
  const child = starting ? undefined : spawnDev(options);
  return { state: await waitUntilReady(home, child, log), started: child !== undefined };
}

/** A server that is about to end is of no use: another one takes its place. */
async function untilEnded(home: Home): Promise<void> {
  for (const endMs = Date.now() + ENDED_WITHIN_MS; Date.now() < endMs && runningDev(home)?.state === 'ending';) await sleep(50);
}

interface Spawned {
  readonly exited: () => boolean;
  readonly logFrom: number;
}

function spawnDev({ home, environment, ephemeral }: EnsureDevOptions): Spawned {
  const file = logOf(home);
  try {
    mkdirSync(home.logs, { recursive: true });
    const output = openSync(file, 'a');
    const logFrom = statSync(file).size;
    const args = [join(packageRoot(), 'bin', 'smlt.js'), 'dev', '--background', ...(ephemeral ? ['--while-pid', String(process.pid)] : [])];
    const child = spawn(process.execPath, args, {
      env: { ...environment, SMLT_HOME: home.root },
      detached: true,
      stdio: ['ignore', output, output],
      cwd: home.root,
    });
    closeSync(output);
    let exited = false;
    child.once('exit', () => (exited = true));
    child.once('error', () => (exited = true));
    child.unref();
    return { exited: () => exited, logFrom };
  } catch (error) {
    throw fileError(error, 'write', file);
  }
}

async function waitUntilReady(home: Home, child: Spawned | undefined, log: (line: string) => void): Promise<DevState> {
  let shown = child?.logFrom ?? 0;
  for (const endMs = Date.now() + STARTED_WITHIN_MS; Date.now() < endMs; await sleep(50)) {
    const state = runningDev(home);
    if (state?.state === 'ready') return state;
    // Downloads take a while: what the server says about them is worth passing on.
    const news = child ? newLines(home, shown) : { lines: [], end: shown };
    shown = news.end;
    for (const line of news.lines.filter((text) => text.startsWith('bringing ') || text.startsWith('  '))) log(line);
    const dead = child ? child.exited() && lockHolder(home.lockFile) === undefined : lockHolder(home.lockFile) === undefined;
    if (dead && runningDev(home)?.state !== 'ready') throw new SmltError('TemporalUnavailable', `smlt dev did not start:\n${lastOf(home, child?.logFrom ?? 0)}`); // prettier-ignore
  }
  throw new SmltError('TemporalUnavailable', `smlt dev was not ready within ${STARTED_WITHIN_MS / 60_000} minutes; see ${logOf(home)}.`);
}

function newLines(home: Home, from: number): { lines: string[]; end: number } {
  const text = readLog(home, from);
  const whole = text.lastIndexOf('\n') + 1;
  return { lines: text.slice(0, whole).split('\n').slice(0, -1), end: from + Buffer.byteLength(text.slice(0, whole)) };
}

function lastOf(home: Home, from: number): string {
  return readLog(home, from).trim().split('\n').slice(-12).join('\n') || `it said nothing; see ${logOf(home)}`;
}

function readLog(home: Home, from: number): string {
  try {
    return readFileSync(logOf(home)).subarray(from).toString();
  } catch {
    return '';
  }
}

/** Ends the dev server of this home; true when there was one. */
export async function stopDev(home: Home): Promise<boolean> {
  const holder = lockHolder(home.lockFile);
  const state = readDevState(home);
  if (holder) await endProcess(holder, ENDED_WITHIN_MS);
  let found = holder !== undefined;
  // What a killed supervisor left behind.
  for (const id of Object.values(state?.processes ?? {})) {
    if (!isAlive(id)) continue;
    found = true;
    await endProcess(id, 5_000);
  }
  return found;
}
