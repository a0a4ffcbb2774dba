// Processes of bench/sync.mjs: servers of Redis and S3, and teams of workers that go from line to line together.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';

const children = new Set();

export function endAll() {
  for (const child of children) child.kill('SIGKILL');
}

function start(command, args, { env = process.env, stdout = 'pipe' } = {}) {
  const child = spawn(command, args.map(String), { env, stdio: ['pipe', stdout, 'inherit'] });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

/** A worker: 'ready' at its start; answers every line that it is told with one, and has a report after 'done'. */
async function startWorker([command, args]) {
  const child = start(command, args, { env: { ...process.env, NODE_NO_WARNINGS: '1' } });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const hear = async (wanted) => {
    const { value } = await lines.next();
    if (value !== wanted) throw new Error(`${command} ${args.join(' ')}: expected '${wanted}', got '${value}'`);
  };
  await hear('ready');
  return {
    async tell(line, answer) {
      child.stdin.write(`${line}\n`);
      await hear(answer);
    },
    report: async () => JSON.parse((await lines.next()).value),
    /** Until its memory is free for the next. */
    end: () =>
      new Promise((gone) => {
        child.once('exit', gone);
        child.kill('SIGKILL');
      }),
  };
}

/** @param commandOf  from a worker's number to its program and arguments */
export async function startTeam(workers, commandOf) {
  const team = await Promise.all(Array.from({ length: workers }, (_, rank) => startWorker(commandOf(rank))));
  const everybody = (work) => Promise.all(team.map(work));
  let number = 0;
  return {
    /** One synchronisation: the clock runs from the release of the gradients to the last worker's end. */
    async round() {
      const name = String(number++);
      await everybody((worker) => worker.tell(name, 'computed'));
      const startMs = performance.now();
      await everybody((worker) => worker.tell('go', 'done'));
      const ms = performance.now() - startMs;
      return { ms, reports: await everybody((worker) => worker.report()) };
    },
    end: () => everybody((worker) => worker.end()),
  };
}

/** Redis with persistence off, on TCP and on a Unix socket in `folder`; from PATH or `cache`. */
export async function startRedis(folder, cache) {
  const libraries = ['x86_64', 'aarch64'].map((kind) => join(cache, `redis/usr/lib/${kind}-linux-gnu`));
  const path = [join(cache, 'redis/usr/bin'), process.env.PATH].join(delimiter);
  const env = { ...process.env, PATH: path, LD_LIBRARY_PATH: [...libraries, process.env.LD_LIBRARY_PATH].filter(Boolean).join(delimiter) };
  const port = await freePort();
  const socket = join(folder, 'socket');
  start(
    'redis-server',
    ['--port', port, '--bind', '127.0.0.1', '--unixsocket', socket, '--save', '', '--appendonly', 'no', '--io-threads', 1, '--dir', folder],
    { env, stdout: 'ignore' },
  );
  const ask = (...args) => spawnSync('redis-cli', ['-p', String(port), ...args], { env, encoding: 'utf8' }).stdout.trim();
  while (ask('PING') !== 'PONG') await new Promise((done) => setTimeout(done, 50));
  return {
    port,
    socket,
    cpuMs() {
      const said = ask('INFO', 'cpu');
      return 1_000 * (Number(/used_cpu_user:(\S+)/.exec(said)[1]) + Number(/used_cpu_sys:(\S+)/.exec(said)[1]));
    },
    /** As runs do: FLUSHALL would give the memory back, and the next round would pay for getting it again. */
    clear: () => void ask('EVAL', "for _, key in ipairs(redis.call('KEYS', '*')) do redis.call('UNLINK', key) end", '0'),
  };
}

/** versitygw over a folder, with one bucket and connections that are kept, as AWS does; from PATH or `cache`. Undefined where it is not installed. */
export async function startS3(folder, cache) {
  const binary = [...process.env.PATH.split(delimiter), join(cache, 'bin')].map((bin) => join(bin, 'versitygw')).find(existsSync);
  if (binary === undefined) return undefined;
  const bucket = join(folder, 's3', 'bench');
  mkdirSync(bucket, { recursive: true });
  const port = await freePort();
  // The workers' credentials too: they inherit this process's environment.
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'bench', AWS_SECRET_ACCESS_KEY: 'bench-secret', AWS_REGION: 'us-east-1' });
  const env = { ...process.env, ROOT_ACCESS_KEY: 'bench', ROOT_SECRET_KEY: 'bench-secret' };
  const { pid } = start(binary, ['--port', `127.0.0.1:${port}`, '--quiet', '--keep-alive', '--health', '/health', 'posix', join(folder, 's3')], {
    env,
    stdout: 'ignore',
  });
  const endpoint = `http://127.0.0.1:${port}`;
  const healthy = () => fetch(`${endpoint}/health`).then(({ ok }) => ok, () => false); // prettier-ignore
  while (!(await healthy())) await new Promise((done) => setTimeout(done, 50));
  return {
    endpoint,
    uri: `s3://bench/sync?endpoint=${endpoint}&region=us-east-1`,
    /** To 10 ms. Linux only. */
    cpuMs() {
      const [utime, stime] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ').slice(11, 13).map(Number);
      return 10 * (utime + stime);
    },
    clear: () => readdirSync(bucket).forEach((entry) => rmSync(join(bucket, entry), { recursive: true, force: true })),
  };
}

const freePort = () =>
  new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
