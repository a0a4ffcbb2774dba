/**
 * The embedded Lambda server as a process of its own:
 *   node dist/platforms/local-lambda/main.js --state-dir DIR [--port 0] [--concurrency 128] [--idle-ms 300000] [--no-throttle-cpu]
 * Prints one JSON line, `{ endpoint, port, pid }`, when it serves. Ends on SIGTERM and SIGINT; its instances end with it.
 */
import { parseArgs } from 'node:util';
import { SmltError } from '../../contracts/errors';
import { startLocalLambda } from './server';

function wholeNumber(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0) return value;
  throw new SmltError('InvalidSpec', `--${name} is ${JSON.stringify(text)}; expected a whole number, 0 or more`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      'state-dir': { type: 'string' },
      port: { type: 'string' },
      concurrency: { type: 'string' },
      'idle-ms': { type: 'string' },
      'no-throttle-cpu': { type: 'boolean', default: false },
    },
  });
  const stateDir = values['state-dir'] ?? process.env['SMLT_LAMBDA_STATE_DIR'];
  if (stateDir === undefined) throw new SmltError('InvalidSpec', 'no state directory; give --state-dir DIR or SMLT_LAMBDA_STATE_DIR');
  const server = await startLocalLambda({
    stateDir,
    port: wholeNumber('port', values.port ?? process.env['SMLT_LAMBDA_PORT'], 0),
    limits: { concurrency: wholeNumber('concurrency', values.concurrency, 128) },
    idleMs: wholeNumber('idle-ms', values['idle-ms'], 300_000),
    throttleCpu: !values['no-throttle-cpu'],
  });
  const stop = (): void => {
    server.close().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.on('SIGTERM', stop).on('SIGINT', stop);
  process.stdout.write(`${JSON.stringify({ endpoint: server.endpoint, port: server.port, pid: process.pid })}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof SmltError ? `${error.message}\n${error.help}` : (error as Error).stack}\n`);
  process.exit(1);
});
