import { Command, InvalidArgumentError, Option } from 'commander';
import { z } from 'zod';
import { stopDev } from '../dev/background';
import { runningDev } from '../dev/dev-state';
import { lockHolder } from '../dev/lock';
import { identify } from '../dev/processes';
import { homeOf } from '../home';
import { SmltError } from '../../contracts/errors';
import { EXIT, exitCodeOfError } from './exit-codes';
import { note, print, printJson } from './output';
import { whole } from './whole-number';

interface DevOptions {
  readonly port?: number;
  readonly uiPort?: number;
  readonly lambdaPort?: number;
  readonly register?: true;
  readonly background?: true;
  readonly idleMinutes: number;
  readonly whilePid?: number;
}

const parsePort = whole(1, 'a port from 1 to 65535', 65_535);
const parsePid = whole(1, 'a process id');
function parseMinutes(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('expected minutes, more than 0');
  return value;
}

/** `smlt dev`: Temporal server, Lambda server and Temporal worker, kept alive until Ctrl-C. `smlt dev stop` ends them from elsewhere. */
export function devCommand(): Command {
  const dev = new Command('dev')
    .description('run Temporal server, Lambda server and Temporal worker on this machine')
    .option('--port <port>', 'port of the Temporal server', parsePort)
    .option('--ui-port <port>', 'port of Temporal Web UI', parsePort)
    .option('--lambda-port <port>', 'port of the Lambda server', parsePort)
    .option('--register', 'register smlt’s search attributes with your own Temporal server')
    .addOption(new Option('--background', 'end by itself when nothing runs').hideHelp())
    .addOption(new Option('--idle-minutes <minutes>', 'with --background').argParser(parseMinutes).default(idleMinutes()).hideHelp())
    .addOption(new Option('--while-pid <pid>', 'with --background: end with this process').argParser(parsePid).hideHelp())
    .action(serve);
  return dev.addCommand(
    new Command('stop').description('end the running smlt dev; nothing is lost').action(async () => {
      const home = homeOf();
      print((await stopDev(home)) ? 'smlt dev has ended; its state is kept' : 'smlt dev was not running');
    }),
  ).addCommand(
    new Command('status').description('say what runs and where').option('--json', 'print one JSON document').action(({ json }: { json?: true }) => {
      const home = homeOf();
      const state = runningDev(home);
      if (json) printJson(state ?? null);
      else if (state) describe(state);
      else print(lockHolder(home.lockFile) ? 'smlt dev is starting' : 'smlt dev is not running');
      if (!state) process.exitCode = EXIT.failed;
    }),
  ); // prettier-ignore
}

function idleMinutes(): number {
  const set = z.coerce.number().positive().safeParse(process.env['SMLT_IDLE_MINUTES']);
  return set.success ? set.data : 30;
}

function describe(state: NonNullable<ReturnType<typeof runningDev>>): void {
  const { temporal, lambdaEndpoint, storeUri, processes } = state;
  print(`Temporal server   ${temporal.address}${temporal.own ? '' : ' (yours)'}`);
  if (temporal.uiUrl) print(`Temporal Web UI   ${temporal.uiUrl}`);
  print(`Lambda server     ${lambdaEndpoint}`);
  print(`object store      ${storeUri}`);
  print(`processes         supervisor ${state.supervisor.pid}${Object.entries(processes).map(([name, { pid }]) => `, ${name} ${pid}`).join('')}`); // prettier-ignore
}

async function serve(options: DevOptions): Promise<void> {
  const home = homeOf();
  const { port, uiPort, lambdaPort } = options;
  const interrupted = new Promise<{ reason: string; error?: SmltError }>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve({ reason: signal }));
  });
  const givingUp = new AbortController();
  void interrupted.then(({ reason }) => givingUp.abort(new GivenUp(reason)));
  const { startDevServer } = await import('../dev/supervisor.js');
  const started = startDevServer({
    home,
    signal: givingUp.signal,
    environment: process.env,
    ports: { ...(port && { temporal: port }), ...(uiPort && { ui: uiPort }), ...(lambdaPort && { lambda: lambdaPort }) },
    log: note,
    register: options.register ?? false,
    ...(options.background && {
      background: { idleMs: options.idleMinutes * 60_000, ...(options.whilePid !== undefined && { whileAlive: identify(options.whilePid) }) },
    }),
  });
  const server = await started.catch((error: unknown) => {
    if (error instanceof GivenUp) {
      note(`smlt dev ends before it has started: ${error.message}`);
      process.exit(EXIT.left);
    }
    throw error instanceof SmltError && error.code === 'AlreadyRunning' ? withWhere(error) : error;
  });
  describe(server.state());
  if (!options.background) print('\nCtrl-C ends it; state stays on disk.');
  const end = await Promise.race([interrupted, server.ended]);
  note(`smlt dev ends: ${end.reason}`);
  await server.stop();
  process.exit(end.error ? exitCodeOfError(end.error) : EXIT.done);
}

/** Somebody wanted no server any more before there was one. */
class GivenUp extends Error {}

function withWhere(error: SmltError): SmltError {
  const running = runningDev(homeOf());
  return running?.temporal.uiUrl && !error.message.startsWith('port') ? new SmltError(error.code, `${error.message} Temporal Web UI: ${running.temporal.uiUrl}`, { cause: error }) : error; // prettier-ignore
}
