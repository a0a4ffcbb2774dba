import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RespConnection, type RespArgument, type RespReply } from '../../storage/redis/resp-connection';
import { freePort } from './ports';
import { requireBackend } from './require';

const cached = resolve(__dirname, '../../.cache/redis/usr');
const howToGet = 'scripts/get-redis.sh (or install redis-server or valkey-server)';

function findRedis(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), join(cached, 'bin')].filter(Boolean);
  const paths = folders.flatMap((folder) => ['valkey-server', 'redis-server'].map((program) => join(folder, program)));
  return [process.env['SMLT_REDIS_SERVER'], ...paths].find((path) => path !== undefined && existsSync(path));
}

/** A real Redis or Valkey, for the tests that need one. */
export const redisServer = requireBackend('redis', findRedis, howToGet);

export interface RedisServer {
  /** Without a prefix; `?prefix=` may follow. */
  readonly uri: string;
  readonly unixUri: string;
  /** A `rediss://` URI with the option that makes its certificate trusted. */
  readonly tlsUri: string | undefined;
  readonly port: number;
  /** A command of a test's own. */
  run(...args: RespArgument[]): Promise<RespReply>;
  /** SIGKILL; `start` brings up an empty one at the same port. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Stopped and continued without ending: a server that hangs. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  stop(): Promise<void>;
}

export interface RedisOptions {
  /** More of the server's own. */
  readonly args?: readonly string[];
  readonly tls?: boolean;
  readonly password?: string;
}

/** Starts a server on ports that the system picks, in memory only. */
export async function startRedis(binary: string, { args = [], tls = false, password }: RedisOptions = {}): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), 'smlt-redis-'));
  const [port, tlsPort] = [await freePort(), await freePort()];
  const socket = join(folder, 'socket');
  const secure = tls ? tlsArguments(folder, tlsPort) : [];
  const secret = password === undefined ? [] : ['--requirepass', password];
  const libraries = ['lib/x86_64-linux-gnu', 'lib/aarch64-linux-gnu'].map((path) => join(cached, path));
  let child: ChildProcess;
  let gone: Promise<void>;
  const where = { host: '127.0.0.1', port, connectTimeoutMs: 1_000, silenceMs: 5_000 };
  const run = async (...command: RespArgument[]) => {
    const connection = await RespConnection.open(where);
    try {
      if (password !== undefined) await connection.command(['AUTH', password]);
      return await connection.command(command);
    } finally {
      connection.close();
    }
  };
  const start = async () => {
    const memory = ['--save', '', '--appendonly', 'no', '--dir', folder, '--unixsocket', socket];
    child = spawn(binary, ['--port', String(port), '--bind', '127.0.0.1', ...memory, ...secure, ...secret, ...args], {
      env: { ...process.env, LD_LIBRARY_PATH: [...libraries, process.env['LD_LIBRARY_PATH'] ?? ''].filter(Boolean).join(delimiter) },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    gone = new Promise<void>((done) => child.once('exit', () => done()));
    for (let attempt = 0; ; attempt++) {
      const error = await run('PING').then(
        () => undefined,
        (reason: Error) => reason,
      );
      // Whatever it says against a PING, it is up.
      if (error === undefined || error.name === 'RespError') return;
      if (attempt === 200 || child.exitCode !== null) throw new Error(`${binary} does not answer at port ${port}`, { cause: error });
      await sleep(25);
    }
  };
  const kill = async () => {
    child.kill('SIGKILL');
    await gone;
  };
  await start();
  return {
    uri: `redis://127.0.0.1:${port}/0`,
    unixUri: `redis+unix://${socket}`,
    tlsUri: tls ? `rediss://127.0.0.1:${tlsPort}/0?ca=${encodeURIComponent(join(folder, 'certificate.pem'))}` : undefined,
    port,
    run,
    kill,
    start,
    signal: (signal) => void child.kill(signal),
    async stop() {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function tlsArguments(folder: string, port: number): string[] {
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', certificate, ...subject], {
    stdio: 'pipe',
  });
  return [
    '--tls-port',
    String(port),
    '--tls-cert-file',
    certificate,
    '--tls-ca-cert-file',
    certificate,
    '--tls-key-file',
    key,
    '--tls-auth-clients',
    'no',
  ];
}
