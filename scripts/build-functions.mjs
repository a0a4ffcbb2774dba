// Bundles the serverless functions into one file, dist/functions-bundle/index.js. Only the native onnxruntime-node stays outside.
// The engine of Python functions becomes part of the Python package, dist/python/smlt/engine.js.
import { cpSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const target = join(root, 'dist', 'functions-bundle');
const aside = `${target}.new`;

const settings = {
  absWorkingDir: root, // paths in the bundle are relative to it: the same sources give the same bytes everywhere
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  keepNames: true,
  legalComments: 'none',
  logLevel: 'warning',
};

rmSync(aside, { recursive: true, force: true });
await build({ ...settings, entryPoints: ['functions/index.ts'], outfile: join(aside, 'index.js'), external: ['onnxruntime-node'] });
mkdirSync(target, { recursive: true });
renameSync(join(aside, 'index.js'), join(target, 'index.js')); // whoever packages meanwhile reads a whole file
rmSync(aside, { recursive: true, force: true });

const python = join(root, 'dist', 'python');
const pythonAside = `${python}.new`;
const isSource = (path) => !/(__pycache__|\.egg-info|\.pytest_cache|\.mypy_cache|\.ruff_cache)/.test(path);
rmSync(pythonAside, { recursive: true, force: true });
cpSync(join(root, 'python', 'smlt'), join(pythonAside, 'smlt'), { recursive: true, filter: isSource });
await build({ ...settings, entryPoints: ['functions/python-engine.ts'], outfile: join(pythonAside, 'smlt', 'engine.js') });
rmSync(python, { recursive: true, force: true });
renameSync(pythonAside, python);
cpSync(join(root, 'platforms', 'local-lambda', 'bootstrap.py'), join(root, 'dist', 'platforms', 'local-lambda', 'bootstrap.py'));
