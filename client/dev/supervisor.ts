import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { SmltError } from '../../contracts/errors';
import { cacheDir, packageRoot, smltVersion, type Home } from '../home';
import { connectTo, registerSearchAttributes, serverReady } from '../temporal/connection';
import { devServerArguments } from '../temporal/dev-server';
import { findTemporalBinary } from '../temporal/find-binary';
import { givenServer, localServer, type TemporalServer } from '../temporal/given-server';
import type { DevState } from './dev-state';
import { readDevState, touchLastUsed } from './dev-state';
import { writableFolder, writeJson } from './files';
import { watchIdle } from './idle';
import { acquireLock } from './lock';
import { choosePorts, type Ports } from './ports';
import { endProcess, identify, isAlive, type ProcessId } from './processes';
import { Service, type ServiceDefinition } from './service';

export interface DevOptions {
  readonly home: Home;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly ports: Partial<Ports>;
  readonly log: (line: string) => void;
  /** Gives a start up: what has been started is ended, and `startDevServer` rejects. */
  readonly signal?: AbortSignal;
  /** Registers the search attributes with the user's own server. */
  readonly register?: boolean;
  /** Background servers end by themselves: after this long without use, or with the process that wanted them. */
  readonly background?: { readonly idleMs: number; readonly whileAlive?: ProcessId };
}

export interface RunningDevServer {
  readonly state: () => DevState;
  readonly stop: () => Promise<void>;
  /** Settles when the server ends by itself: idle, or given up. */
  readonly ended: Promise<{ readonly reason: string; readonly error?: SmltError }>;
}

/**
 * Starts Temporal server, Lambda server and Temporal worker as child processes and keeps them alive. What they know is on
 * disk, so a restart loses nothing.
 * @throws {SmltError} `AlreadyRunning` (lock or port), `StoreDenied`, `StoreFull`, `TemporalUnavailable`, `PlatformUnavailable`
 */
export async function startDevServer(options: DevOptions): Promise<RunningDevServer> {
  const { home, environment, log, signal } = options;
  for (const folder of [home.root, home.logs, home.functions]) writableFolder(folder);
  const givenUp = new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true }));
  givenUp.catch(() => undefined);
  const unlessGivenUp = <T>(starting: Promise<T>): Promise<T> => Promise.race([starting, givenUp]);
  const unlock = acquireLock(home.lockFile);
  const services: Service[] = [];
  const stopServices = async () => {
    for (const service of services.reverse()) await service.stop();
  };
  try {
    await endLeftovers(home, log);
    touchLastUsed(home);
    const ports = await choosePorts(options.ports, home.portsFile);
    const given = givenServer(environment);
    const search = { environment, cache: cacheDir(environment), mayDownload: true, log };
    const binary = given ? undefined : await unlessGivenUp(findTemporalBinary(search));
    const temporal = given ?? localServer(`127.0.0.1:${ports.temporal}`, 'default', `smlt dev`);
    const state: DevState = {
      formatVersion: 1,
      version: smltVersion(),
      state: 'starting',
      startedAtMs: Date.now(),
      supervisor: identify(process.pid),
      background: options.background !== undefined,
      temporal: {
        address: temporal.address,
        namespace: temporal.namespace,
        uiUrl: binary ? `http://127.0.0.1:${ports.ui}` : null,
        own: binary !== undefined,
        program: binary?.path ?? null,
      },
      lambdaEndpoint: `http://127.0.0.1:${ports.lambda}`,
      storeUri: environment['SMLT_STORE_URI'] || home.storeUri,
      exchangeUri: environment['SMLT_EXCHANGE_URI'] || pathToFileURL(exchangeFolder(home)).href.replace('file:', 'tmpfs:'),
      processes: {},
    };
    const publish = () => writeJson(home.devFile, state);
    publish();
    let settle: (end: { reason: string; error?: SmltError }) => void = () => undefined;
    const ended = new Promise<{ reason: string; error?: SmltError }>((resolve) => (settle = resolve));
    const service = (definition: ServiceDefinition) => {
      const created = new Service(definition, join(home.logs, `${definition.name}.log`), {
        onChange: (id) => {
          if (id) state.processes[definition.name] = id;
          else delete state.processes[definition.name];
          publish();
        },
        log,
        onGivenUp: (error) => settle({ reason: error.message, error }),
      });
      services.push(created);
      return created;
    };
    const first = [lambdaServer(home, environment, ports.lambda)];
    if (binary) first.unshift(temporalServer(binary.path, temporal, ports, home, environment));
    await unlessGivenUp(Promise.all(first.map((definition) => service(definition).start())));
    if (given && options.register) await unlessGivenUp(register(given, log));
    await unlessGivenUp(service(temporalWorker(state, environment)).start());
    state.state = 'ready';
    publish();
    const stopWatching = options.background
      ? watchIdle({ home, temporal, ...options.background, onIdle: (reason) => settle({ reason }) })
      : () => undefined;
    let stopping: Promise<void> | undefined;
    const stop = () =>
      (stopping ??= (async () => {
        stopWatching();
        state.state = 'ending';
        publish();
        await stopServices();
        if (!environment['SMLT_EXCHANGE_URI']) await rm(exchangeFolder(home), { recursive: true, force: true });
        await rm(home.devFile, { force: true });
        unlock();
      })());
    return { state: () => state, stop, ended };
  } catch (error) {
    await stopServices();
    unlock();
    throw error;
  }
}

/** Children of a supervisor that was killed with SIGKILL would keep ports and the database. */
async function endLeftovers(home: Home, log: (line: string) => void): Promise<void> {
  const last = readDevState(home);
  for (const [name, id] of Object.entries(last?.processes ?? {})) {
    if (!isAlive(id)) continue;
    log(`ending the ${name} process ${id.pid}, left over by an smlt dev that was killed`);
    await endProcess(id, 5_000);
  }
}

function temporalServer(path: string, server: TemporalServer, ports: Ports, home: Home, environment: DevOptions['environment']): ServiceDefinition {
  return {
    name: 'temporal',
    title: 'the Temporal server',
    command: path,
    args: devServerArguments({ port: ports.temporal, uiPort: ports.ui, database: home.temporalDatabase }),
    environment,
    becameReady: () => serverReady(server),
    readyWithinMs: 60_000,
    graceMs: 10_000,
  };
}

/** A process says that it serves in one line of JSON. */
const says =
  (field: 'endpoint' | 'ready') =>
  (line: string): boolean => {
    if (!line.startsWith('{')) return false;
    try {
      return Boolean((JSON.parse(line) as Record<string, unknown>)[field]);
    } catch {
      return false;
    }
  };

function lambdaServer(home: Home, environment: DevOptions['environment'], port: number): ServiceDefinition {
  return {
    name: 'lambda',
    title: 'the Lambda server',
    command: process.execPath,
    args: [built('platforms/local-lambda/main.js'), '--state-dir', home.functions, '--port', String(port)],
    environment,
    becameReady: ({ line }) => line(says('endpoint')),
    readyWithinMs: 30_000,
    graceMs: 5_000,
  };
}

function temporalWorker(state: DevState, environment: DevOptions['environment']): ServiceDefinition {
  return {
    name: 'worker',
    title: 'the Temporal worker',
    command: process.execPath,
    args: [built('worker/main.js')],
    environment: {
      ...(state.temporal.own ? withoutTemporal(environment) : environment),
      TEMPORAL_ADDRESS: state.temporal.address,
      TEMPORAL_NAMESPACE: state.temporal.namespace,
      SMLT_STORE_URI: state.storeUri,
      SMLT_EXCHANGE_URI: state.exchangeUri,
      SMLT_LAMBDA_ENDPOINT: state.lambdaEndpoint,
      SMLT_CACHE_DIR: cacheDir(environment),
    },
    becameReady: ({ line }) => line(says('ready')),
    readyWithinMs: 90_000,
    graceMs: 15_000,
  };
}

/** smlt's own server knows nothing of the profiles, keys and certificates of another one. */
function withoutTemporal(environment: DevOptions['environment']): DevOptions['environment'] {
  const others = Object.entries(environment).filter(([name]) => !name.startsWith('TEMPORAL_'));
  return { ...Object.fromEntries(others), TEMPORAL_CONFIG_FILE: join(packageRoot(), 'no-profile') }; // no such file
}

function built(file: string): string {
  const path = join(packageRoot(), 'dist', file);
  if (!existsSync(path)) throw new SmltError('PlatformUnavailable', `${path} is missing: smlt is not built. Run \`npm run build\`.`);
  return path;
}

async function register(server: TemporalServer, log: (line: string) => void): Promise<void> {
  const connection = await connectTo(server);
  try {
    const added = await registerSearchAttributes(connection, server.namespace);
    log(added.length === 0 ? 'the search attributes were registered already' : `registered the search attributes ${added.join(', ')}`);
  } finally {
    await connection.close();
  }
}

/** In memory where the system has a place for it: what is in it may vanish, which costs time only. One folder a home. */
function exchangeFolder(home: Home): string {
  try {
    accessSync('/dev/shm', constants.W_OK);
    return `/dev/shm/smlt-${createHash('sha256').update(home.root).digest('hex').slice(0, 12)}`;
  } catch {
    return join(home.root, 'exchange');
  }
}
