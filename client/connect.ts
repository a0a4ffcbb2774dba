import { Client } from '@temporalio/client';
import { TASK_QUEUE } from '../contracts/pipeline';
import { openObjectStore } from '../storage';
import { ensureDev, stopDev } from './dev/background';
import { runningDev, touchLastUsed, type DevState } from './dev/dev-state';
import { homeAt, homeOf, type Home } from './home';
import { connectTo, hasWorker, missingSearchAttributes } from './temporal/connection';
import { givenServer, localServer, type TemporalServer } from './temporal/given-server';
import { SmltError } from '../contracts/errors';
import { Smlt } from './smlt';

export interface ConnectOptions {
  /** Where smlt keeps its state; left out: `SMLT_HOME`, else `~/.smlt`. */
  readonly home?: string;
  /** Start what is needed in the background when it does not run (the default), or only use what runs. */
  readonly start?: boolean;
  /** End on `close` what had to be started. Default: on CI only. */
  readonly ephemeral?: boolean;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Progress and notices, a line each. */
  readonly log?: (line: string) => void;
}

/**
 * Connects to the Temporal server named by TEMPORAL_ADDRESS or a profile, else to smlt's own, which is started in the
 * background when nothing runs and stays for 30 idle minutes, so that links, `predict` and `status` work.
 * @throws {SmltError} `TemporalUnavailable` that names every place where a server was sought
 */
export async function connect(options: ConnectOptions = {}): Promise<Smlt> {
  const environment = options.environment ?? process.env;
  const home = options.home === undefined ? homeOf(environment) : homeAt(options.home);
  const log = options.log ?? (() => undefined);
  const ephemeral = options.ephemeral ?? (environment['CI'] !== undefined && environment['CI'] !== '' && environment['CI'] !== 'false');
  const given = givenServer(environment);
  if (given && (await servesAlready(given))) return open(given, home, environment, undefined, async () => undefined);
  const running = runningDev(home);
  if (given && running && running.temporal.address !== given.address)
    throw new SmltError('AlreadyRunning', `smlt dev runs with the Temporal server at ${running.temporal.address}, and ${given.source} names ${given.address}, where no smlt worker polls.\nRun \`smlt dev stop\` (or unset TEMPORAL_ADDRESS), or start \`smlt worker\` there.`); // prettier-ignore
  if (options.start === false) {
    if (running?.state !== 'ready') throw new SmltError('TemporalUnavailable', 'smlt dev is not running. Start it with `smlt dev`, or a run with `smlt run JOB`.'); // prettier-ignore
    touchLastUsed(home);
    return open(serverOf(running, given), home, environment, running, async () => undefined);
  }
  if (running === undefined) log(`starting smlt dev in the background (state in ${home.root}); \`smlt dev stop\` ends it`);
  const { state, started } = await ensureDev({ home, environment, log, ephemeral, openRuns: (dev) => openRuns(serverOf(dev, given)) });
  return open(serverOf(state, given), home, environment, state, async () => {
    if (started && ephemeral) await stopDev(home);
  });
}

const serverOf = ({ temporal }: DevState, given: TemporalServer | undefined): TemporalServer =>
  given ?? localServer(temporal.address, temporal.namespace, 'smlt dev');

async function open(
  server: TemporalServer,
  home: Home,
  environment: NonNullable<ConnectOptions['environment']>,
  dev: DevState | undefined,
  onClose: () => Promise<void>,
) {
  // prettier-ignore
  const connection = await connectTo(server);
  try {
    const store = await openObjectStore(environment['SMLT_STORE_URI'] || dev?.storeUri || home.storeUri);
    const missing = await missingSearchAttributes(connection, server.namespace);
    const notices =
      missing.length === 0
        ? []
        : [`The namespace ${server.namespace} lacks the search attributes ${missing.join(', ')}, so Temporal Web UI cannot filter by them; \`smlt dev --register\` adds them.`]; // prettier-ignore
    return new Smlt({ connection, server, store, dev, uiUrl: dev?.temporal.uiUrl ?? undefined, notices, onClose });
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** Whether the user's own server answers and has an smlt worker. One that does not answer is an error, never passed over. */
async function servesAlready(server: TemporalServer): Promise<boolean> {
  const connection = await connectTo(server);
  try {
    return await hasWorker(connection, server.namespace, TASK_QUEUE);
  } finally {
    await connection.close();
  }
}

async function openRuns(server: TemporalServer): Promise<number> {
  const connection = await connectTo(server);
  try {
    return (await new Client({ connection, namespace: server.namespace }).workflow.count(`ExecutionStatus = "Running"`)).count;
  } finally {
    await connection.close();
  }
}
