import { DefaultLogger, Runtime } from '@temporalio/worker';
import { SmltError } from '../contracts/errors';
import { readConfig } from './config';
import { createWorker } from './create-worker';

/** The Temporal worker as a process: says on stdout when it polls, ends on SIGINT or SIGTERM. */
async function main(): Promise<void> {
  Runtime.install({ logger: new DefaultLogger('WARN', ({ level, message, meta }) => console.error(level, message, meta ?? '')) });
  const worker = await createWorker(readConfig(process.env));
  const running = worker.run();
  console.log(JSON.stringify({ ready: true, pid: process.pid }));
  await running;
}

main().then(
  // Keep-alive sockets and pollers must not hold a worker that has ended.
  () => process.exit(0),
  (error: unknown) => {
    console.error(error instanceof SmltError ? `${error.code}: ${error.message}\n${error.help}` : error);
    process.exit(1);
  },
);
