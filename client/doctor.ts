import { exchangeUrisOf } from '../contracts/exchange';
import { randomUUID } from 'node:crypto';
import { execFile } from 'node:child_process';
import { existsSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { TASK_QUEUE } from '../contracts/pipeline';
import { openExchange, openObjectStore } from '../storage';
import { runningDev } from './dev/dev-state';
import { writableFolder } from './dev/files';
import { cacheDir, packageRoot, smltVersion, type Home } from './home';
import { connectTo, hasWorker, missingSearchAttributes } from './temporal/connection';
import { findTemporalBinary } from './temporal/find-binary';
import { givenServer, localServer } from './temporal/given-server';

const run = promisify(execFile);

export interface Finding {
  readonly what: string;
  readonly state: 'ok' | 'missing' | 'broken';
  readonly detail: string;
}

/** Looks at everything that smlt needs, changes nothing but a probe file that it deletes again, and starts nothing. */
export async function examine(home: Home, environment: Readonly<Record<string, string | undefined>>): Promise<Finding[]> {
  const findings: Finding[] = [
    { what: 'smlt', state: 'ok', detail: `${smltVersion()} on Node.js ${process.versions.node}, ${process.platform} ${process.arch}` },
  ];
  const look = async (what: string, ifNot: 'missing' | 'broken', check: () => Promise<string> | string) => {
    try {
      findings.push({ what, state: 'ok', detail: await check() });
    } catch (error) {
      findings.push({ what, state: ifNot, detail: (error as Error).message });
    }
  };
  await look('build', 'missing', () => built());
  await look('home folder', 'broken', () => {
    writableFolder(home.root);
    return `${home.root}, ${freeSpace(home.root)} free`;
  });
  await look('shared memory', 'missing', () => sharedMemory());
  await look('ONNX Runtime', 'broken', async () => {
    await run(process.execPath, ['-e', `require('onnxruntime-node')`], { cwd: packageRoot(), timeout: 30_000 });
    return 'onnxruntime-node loads';
  });
  const given = givenServer(environment);
  const running = runningDev(home);
  if (!given)
    await look('Temporal program', 'missing', async () => {
      const { path, version, source } = await findTemporalBinary({
        environment,
        cache: cacheDir(environment),
        mayDownload: false,
        log: () => undefined,
      });
      return `${version} at ${path} (${source})`;
    });
  await look('smlt dev', 'missing', () => {
    if (!running) throw new Error('not running; `smlt dev` or `smlt run JOB` starts it');
    return `process ${running.supervisor.pid}, version ${running.version}, ${running.state}`;
  });
  const server = given ?? (running && localServer(running.temporal.address, running.temporal.namespace, 'smlt dev'));
  if (server)
    await look('Temporal server', 'broken', async () => {
      const connection = await connectTo(server);
      try {
        const missing = await missingSearchAttributes(connection, server.namespace);
        const worker = (await hasWorker(connection, server.namespace, TASK_QUEUE))
          ? 'an smlt worker polls'
          : 'no smlt worker polls: start `smlt dev` or `smlt worker`';
        const attributes = missing.length === 0 ? '' : `; lacks search attributes ${missing.join(', ')} (\`smlt dev --register\` adds them)`;
        return `${server.address}, from ${server.source}; ${worker}${attributes}`;
      } finally {
        await connection.close();
      }
    });
  await look('object store', 'broken', async () => {
    const uri = environment['SMLT_STORE_URI'] || running?.storeUri || home.storeUri;
    const store = await openObjectStore(uri);
    const name = `doctor/${randomUUID()}`;
    await store.putValue(name, Buffer.from('smlt'));
    const read = await store.get(name);
    await store.delete([name]);
    if (Buffer.from(read).toString() !== 'smlt') throw new Error(`${uri} gave back other bytes than were written`);
    return `${uri} takes and gives bytes`;
  });
  const setting = environment['SMLT_EXCHANGE_URI'] || running?.exchangeUri;
  for (const exchangeUri of setting ? exchangeUrisOf(setting) : [])
    await look('exchange', 'broken', async () => {
      const exchange = await openExchange(exchangeUri);
      try {
        const name = `doctor/${randomUUID()}`;
        await exchange.putValue(name, [Buffer.from('smlt')]);
        const read = await exchange.get(name);
        await exchange.delete([name]);
        if (read === undefined || Buffer.from(read).toString() !== 'smlt') throw new Error(`${exchangeUri} gave back other bytes than were written`);
        return `${exchangeUri} takes and gives bytes`;
      } finally {
        await exchange.close();
      }
    });
  return findings;
}

function built(): string {
  const dist = join(packageRoot(), 'dist');
  const missing = ['worker/main.js', 'platforms/local-lambda/main.js', 'workflow-bundle.js', 'functions-bundle/index.js'].filter(
    (file) => !existsSync(join(dist, file)),
  );
  if (missing.length > 0) throw new Error(`dist lacks ${missing.join(', ')}; run \`npm run build\``);
  return 'complete';
}

function sharedMemory(): string {
  if (!existsSync('/dev/shm')) throw new Error('there is no /dev/shm: functions exchange parameters through the disk, which is slower');
  return `/dev/shm, ${freeSpace('/dev/shm')} free`;
}

function freeSpace(path: string): string {
  const { bavail, bsize } = statfsSync(path);
  return `${((bavail * bsize) / 1e9).toFixed(1)} GB`;
}
