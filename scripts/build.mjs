// Builds dist/: TypeScript, the functions' bundle, the workflows' bundle. `--if-needed`: only when a source is newer than the last build.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const dist = join(root, 'dist');
const stampFile = join(dist, 'build.json');
const require = createRequire(join(root, 'package.json'));

const rooms = [
  'contracts',
  'scheduler',
  'training',
  'storage',
  'platforms',
  'functions',
  'activities',
  'workflows',
  'worker',
  'client',
  'testing',
  'python',
];
const configuration = ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'scripts'];

function* filesUnder(path) {
  // What Python and its tools leave beside the sources is none.
  if (!existsSync(path) || /(__pycache__|_cache|\.egg-info)$/.test(path)) return;
  if (!statSync(path).isDirectory()) return void (yield path);
  for (const entry of readdirSync(path)) yield* filesUnder(join(path, entry));
}

function sources() {
  return [...rooms, ...configuration].flatMap((path) => [...filesUnder(join(root, path))]).sort();
}

/** The newest change of any source, a deleted one included: its folder's time changes. */
function newestMs(files) {
  const folders = new Set(files.map(dirname));
  folders.delete(root); // changes with every file that is put there, dist/ of the first build among them
  return Math.max(...[...files, ...folders].map((path) => statSync(path).mtimeMs));
}

/** Says which code a running `smlt dev` was started from. */
function buildId(files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(file.slice(root.length)).update(readFileSync(file));
  return hash.digest('hex').slice(0, 12);
}

function run(what, file, ...args) {
  const { status, error } = spawnSync(process.execPath, [file, ...args], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  if (error || status !== 0) {
    console.error(`build: ${what} failed${error ? `: ${error.message}` : ''}`);
    process.exit(1);
  }
}

async function bundleWorkflows() {
  const entry = join(dist, 'workflows', 'index.js');
  if (!existsSync(join(root, 'workflows', 'index.ts'))) return console.log('build: no workflows/index.ts yet, no workflow bundle');
  const { bundleWorkflowCode } = require('@temporalio/worker');
  const quiet = { trace() {}, debug() {}, info() {}, log() {}, warn: console.warn, error: console.error };
  const { code } = await bundleWorkflowCode({ workflowsPath: entry, logger: quiet });
  const target = join(dist, 'workflow-bundle.js');
  writeFileSync(`${target}.new`, code);
  renameSync(`${target}.new`, target); // a worker that starts meanwhile reads a whole bundle
}

function buildFunctions() {
  const builder = join(root, 'scripts', 'build-functions.mjs');
  if (existsSync(builder)) return run('the functions bundle', builder);
  console.log('build: no scripts/build-functions.mjs yet, no functions bundle');
}

const startedMs = Date.now();
const files = sources();
if (process.argv.includes('--if-needed') && existsSync(stampFile)) {
  const { sourcesMs } = JSON.parse(readFileSync(stampFile, 'utf8'));
  if (sourcesMs >= newestMs(files)) process.exit(0);
}
console.log('smlt: building ...');
const sourcesMs = newestMs(files); // taken before compiling: a change meanwhile must build again
mkdirSync(dist, { recursive: true });
rmSync(stampFile, { force: true });
run('the kernels', join(root, 'scripts', 'build-kernels.mjs'));
run('tsc', require.resolve('typescript/bin/tsc'), '-p', 'tsconfig.build.json');
buildFunctions();
await bundleWorkflows();
writeFileSync(stampFile, JSON.stringify({ sourcesMs, buildId: buildId(files) }));
console.log(`smlt: built in ${((Date.now() - startedMs) / 1000).toFixed(1)} s`);
