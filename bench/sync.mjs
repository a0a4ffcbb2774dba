// How long workers take to add up a gradient through a store, beside LambdaML's algorithm on the same Redis; rounds take turns.
// usage: npm run bench:sync [-- --workers 2,4,8 --mb 1,10,50 --rounds 9 --python .cache/peers/bin/python --json]
// The peer needs `python3 -m venv .cache/peers && .cache/peers/bin/pip install redis numpy`; without it smlt runs alone.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { performance } from 'node:perf_hooks';
import { delimiter, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = dirname(fileURLToPath(import.meta.url));
const cache = join(here, '..', '.cache');
const text = (value) => ({ type: 'string', default: value });
const { values } = parseArgs({
  options: {
    workers: text('2,4,8'),
    mb: text('1,10,50'),
    rounds: text('9'),
    python: text(join(cache, 'peers/bin/python')),
    json: { type: 'boolean' },
  },
});
const warmUp = 3;
const numbers = (list) => list.split(',').map(Number);
const work = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'smlt-sync-'));
const children = new Set();

const port = await new Promise((done) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => done(port));
  });
});
start(
  'redis-server',
  ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', work, '--unixsocket', join(work, 'socket')].map(String),
);
const redis = (...args) => spawnSync('redis-cli', ['-p', String(port), ...args], { env: environment(), encoding: 'utf8' }).stdout.trim();
while (redis('PING') !== 'PONG') await new Promise((done) => setTimeout(done, 50));

const peer = existsSync(values.python) && spawnSync(values.python, ['-c', 'import redis, numpy']).status === 0;
if (!peer) console.error('the peer is missing: see the head of bench/sync.mjs');
const smlt = (uri) => (rank, n, floats) => [process.execPath, [join(here, 'sync-worker.mjs'), uri, rank, n, floats]];
const lambdaml = (listing) => (rank, n, floats) => [
  values.python,
  [join(here, 'peers', 'lambdaml_scatter_reduce.py'), '127.0.0.1', port, rank, n, floats, listing],
];
const systems = {
  'smlt, Redis over TCP': smlt(`redis://127.0.0.1:${port}`),
  'smlt, Redis on a Unix socket': smlt(`redis+unix://${join(work, 'socket')}`),
  'smlt, tmpfs': smlt(`tmpfs://${join(work, 'exchange')}`),
  ...(peer ? { 'LambdaML, Redis over TCP': lambdaml('keys'), 'LambdaML as published (HSCAN)': lambdaml('values') } : {}),
};

const rows = [];
try {
  for (const n of numbers(values.workers))
    for (const mb of numbers(values.mb)) {
      if ((3 * n - 1) * mb > 8_000) {
        console.error(`skipped: n = ${n}, ${mb} MB moves more than 8 GB`);
        continue;
      }
      rows.push(...(await cell(n, mb)));
    }
} finally {
  for (const child of children) child.kill('SIGKILL');
  rmSync(work, { recursive: true, force: true });
}
if (values.json) console.log(JSON.stringify(rows));
else console.table(rows);
process.exit(0);

/** One shape: every system once, then every system again; the first rounds only warm up. */
async function cell(n, mb) {
  const floats = Math.floor((mb * 1e6) / 4);
  const results = new Map();
  const teams = new Map();
  for (const [name, command] of Object.entries(systems)) {
    if (name.includes('HSCAN') && mb > 10) continue; // minutes, to no end
    teams.set(name, await Promise.all(Array.from({ length: n }, (_, rank) => startWorker(...command(rank, n, floats)))));
    results.set(name, []);
  }
  for (let round = 0; round < Number(values.rounds) + warmUp; round++)
    for (const [name, team] of teams) {
      await Promise.all(team.map((worker) => worker.told(String(round), 'computed')));
      const serverMs = serverCpuMs();
      const startMs = performance.now();
      await Promise.all(team.map((worker) => worker.told('go', 'done')));
      const ms = performance.now() - startMs;
      const answers = await Promise.all(team.map((worker) => worker.answer()));
      if (!answers.every(({ right }) => right)) throw new Error(`${name}: wrong sum`);
      if (round >= warmUp) results.get(name).push({ ms, answers, serverMs: serverCpuMs() - serverMs });
      redis('EVAL', "for _, key in ipairs(redis.call('KEYS', '*')) do redis.call('UNLINK', key) end", '0');
      rmSync(join(work, 'exchange'), { recursive: true, force: true });
    }
  for (const team of teams.values()) for (const { child } of team) child.kill('SIGKILL');
  const fair = results.get('LambdaML, Redis over TCP');
  return [...results].map(([system, rounds]) => {
    const sum = (of) => median(rounds.map(({ answers }) => answers.reduce((total, answer) => total + (of(answer) ?? NaN), 0)));
    const ms = rounds.map((round) => round.ms).sort((a, b) => a - b);
    const row = {
      n,
      mb,
      system,
      medianMs: round1(median(ms)),
      spreadMs: `${round1(ms[0])} to ${round1(ms.at(-1))}`,
      cpuMs: round1(sum(({ cpuMs }) => cpuMs)),
      serverCpuMs: round1(median(rounds.map(({ serverMs }) => serverMs))),
      mbMoved: round1(sum(({ bytes }) => bytes) / 1e6),
      requests: sum(({ requests }) => requests),
      timesLambdaML: fair ? Math.round(100 * median(rounds.map(({ ms: own }, i) => fair[i].ms / own))) / 100 : null,
    };
    console.error(JSON.stringify(row));
    return row;
  });
}

async function startWorker(command, args) {
  const child = start(command, args.map(String));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  if ((await lines.next()).value !== 'ready') throw new Error(`${command} did not start`);
  return {
    child,
    async told(line, answer) {
      child.stdin.write(`${line}\n`);
      const { value } = await lines.next();
      if (value !== answer) throw new Error(`${command} ${args.join(' ')}: expected '${answer}', got ${value}`);
    },
    answer: async () => JSON.parse((await lines.next()).value),
  };
}

function serverCpuMs() {
  const said = redis('INFO', 'cpu');
  return 1_000 * (Number(/used_cpu_user:(\S+)/.exec(said)[1]) + Number(/used_cpu_sys:(\S+)/.exec(said)[1]));
}

function environment() {
  const folders = [join(cache, 'redis/usr/bin'), process.env.PATH].join(delimiter);
  const libraries = ['x86_64', 'aarch64'].map((kind) => join(cache, `redis/usr/lib/${kind}-linux-gnu`)).join(delimiter);
  return { ...process.env, PATH: folders, LD_LIBRARY_PATH: [libraries, process.env.LD_LIBRARY_PATH].filter(Boolean).join(delimiter) };
}

function start(command, args) {
  const env = command.startsWith('redis') ? environment() : process.env;
  const child = spawn(command, args, { env, stdio: ['pipe', command.startsWith('redis') ? 'ignore' : 'pipe', 'inherit'] });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
function round1(value) {
  return Math.round(value * 10) / 10;
}
