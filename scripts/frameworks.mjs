// Runs what needs other frameworks: Python's own tests, then each adapter through a pipeline. Makes the environment first,
// .cache/frameworks, once. `npm run test:frameworks [-- jest's arguments]`.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = join(root, '.cache', 'frameworks');
const given = process.env['SMLT_FRAMEWORKS_PYTHON'];
const python = given ?? join(folder, 'bin', 'python');

function run(what, command, args, environment = {}) {
  const startedMs = Date.now();
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...environment } });
  console.log(`frameworks: ${what}: ${((Date.now() - startedMs) / 1000).toFixed(0)} s`);
  if (!error && status === 0) return;
  console.error(`frameworks: ${what} failed${error ? `: ${error.message}` : ''}`);
  process.exit(1);
}

/** PyTorch on x86-64 Linux comes for CUDA, with 2 GB that no CPU needs: it is installed without, and given empty stand-ins. */
function makeEnvironment() {
  const pip = (...args) => [join(folder, 'bin', 'python'), ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', ...args]];
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(dirname(folder), { recursive: true });
  run('venv', 'python3', ['-m', 'venv', folder]);
  const needsCuda = process.platform === 'linux' && process.arch === 'x64';
  if (needsCuda) {
    run('PyTorch', ...pip('--no-deps', 'torch'));
    run('what PyTorch needs', ...pip('filelock', 'typing-extensions', 'sympy', 'networkx', 'jinja2', 'fsspec', 'numpy', 'setuptools'));
    run('CUDA libraries that it loads', ...pip('--no-deps', 'nvidia-cuda-runtime', 'nvidia-cuda-cupti'));
    const site = join(folder, 'lib', readdirSync(join(folder, 'lib'))[0], 'site-packages', 'torch', 'lib');
    run('stand-ins for the rest', python, [join(root, 'scripts', 'torch-without-cuda.py'), site, 'libcudart.so.13', 'libcupti.so.13']);
  } else run('PyTorch', ...pip('torch'));
  run(
    'JAX, scikit-learn and tools',
    ...pip('jax[cpu]', 'flax', 'equinox', 'scikit-learn', 'onnx', 'pytest', 'ruff', 'mypy', 'awslambdaric', 'setuptools', 'build'),
  );
  run('TensorFlow', ...pip('tensorflow-cpu'));
}

/** The package with its engine, as an image would install it: it must import and find the engine. */
function buildWheel() {
  const source = join(root, '.cache', 'wheel-source');
  const wheels = join(root, '.cache', 'wheels');
  for (const old of [source, wheels]) rmSync(old, { recursive: true, force: true });
  cpSync(join(root, 'dist', 'python'), source, { recursive: true });
  for (const file of ['pyproject.toml', 'README.md']) cpSync(join(root, 'python', file), join(source, file));
  run('wheel', python, ['-m', 'pip', 'wheel', '-q', '--disable-pip-version-check', '--no-deps', '--wheel-dir', wheels, source]);
  const [wheel] = readdirSync(wheels);
  const checks =
    'import zipfile, sys; names = zipfile.ZipFile(sys.argv[1]).namelist(); assert {"smlt/engine.js", "smlt/py.typed", "smlt/adapters/pytorch.py"} <= set(names), names';
  run(`what is in ${wheel}`, python, ['-c', checks, join(wheels, wheel)]);
}

if (!given && !existsSync(join(folder, 'done'))) {
  makeEnvironment();
  mkdirSync(join(folder, 'done'));
}
const environment = { SMLT_FRAMEWORKS_PYTHON: python, SMLT_REQUIRE: [process.env['SMLT_REQUIRE'], 'frameworks'].filter(Boolean).join(',') };
const inPython = (what, module, ...args) => run(what, python, ['-m', module, ...args], { PYTHONPATH: join(root, 'python') });
inPython('ruff', 'ruff', 'check', '--quiet', 'python');
inPython('mypy', 'mypy', '--config-file', 'python/pyproject.toml', 'python/smlt');
inPython('pytest', 'pytest', '-q', '-W', 'ignore', '-p', 'no:cacheprovider', 'python/tests');
run('build', process.execPath, ['scripts/build.mjs', '--if-needed']);
buildWheel();

run('jest', process.execPath, ['node_modules/jest/bin/jest.js', '--config', 'jest.frameworks.js', ...process.argv.slice(2)], environment);
