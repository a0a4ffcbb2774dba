// Bundles the serverless functions into one file, dist/functions-bundle/index.js. Only the native onnxruntime-node stays outside.
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const target = join(root, 'dist', 'functions-bundle');
const aside = `${target}.new`;

rmSync(aside, { recursive: true, force: true });
await build({
  absWorkingDir: root, // paths in the bundle are relative to it: the same sources give the same bytes everywhere
  entryPoints: ['functions/index.ts'],
  outfile: join(aside, 'index.js'),
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  external: ['onnxruntime-node'],
  keepNames: true,
  legalComments: 'none',
  logLevel: 'warning',
});
mkdirSync(target, { recursive: true });
renameSync(join(aside, 'index.js'), join(target, 'index.js')); // whoever packages meanwhile reads a whole file
rmSync(aside, { recursive: true, force: true });
