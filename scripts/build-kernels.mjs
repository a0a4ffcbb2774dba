// Compiles AssemblyScript to the modules that are committed beside it as base64: sources, bundle and tests then load the
// same bytes without looking for a file. Does nothing where the sources are those that a module was made from.
// `--to FOLDER` writes them elsewhere, to compare.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const again = process.argv.indexOf('--to');
const targetRoot = again < 0 ? root : process.argv[again + 1];
const options = ['-O3', '--runtime', 'stub', '--enable', 'simd', '--importMemory', '--noAssert', '--zeroFilledMemory'];
const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

await compile(join('training', 'kernels'), 'kernelsWasm');
await compile(join('storage', 'checksum'), 'checksumWasm');

/** FOLDER/assembly to FOLDER/wasm.ts. */
async function compile(folder, exported) {
  const sources = join(root, folder, 'assembly');
  const target = join(targetRoot, folder, 'wasm.ts');
  const files = readdirSync(sources)
    .filter((file) => file.endsWith('.ts'))
    .sort();
  const hash = createHash('sha256').update(JSON.stringify([options, devDependencies.assemblyscript]));
  for (const file of files) hash.update(file).update(readFileSync(join(sources, file)));
  const made = `// Made by scripts/build-kernels.mjs from sources with SHA-256 ${hash.digest('hex')}`;
  if (existsSync(target) && readFileSync(target, 'utf8').startsWith(made)) return;

  const { main } = await import('assemblyscript/asc');
  const written = new Map();
  const { error, stderr } = await main(['index.ts', '--baseDir', sources, '--outFile', 'module.wasm', ...options], {
    writeFile: (name, contents) => void written.set(name, contents),
  });
  if (error) {
    console.error(`build: ${folder} failed: ${error.message}\n${stderr.toString()}`);
    process.exit(1);
  }
  const text = Buffer.from(written.get('module.wasm')).toString('base64');
  const lines = text.match(/.{1,120}/g).map((line) => `  '${line}'`);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(`${target}.new`, `${made}\n/** A WebAssembly module, base64. */\nexport const ${exported} =\n${lines.join(' +\n')};\n`);
  renameSync(`${target}.new`, target);
}
