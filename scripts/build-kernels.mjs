// Compiles training/kernels/assembly (AssemblyScript) to training/kernels/wasm.ts, which is committed: sources, bundle and
// tests then load the same bytes without looking for a file. Does nothing when the sources are those it was made from.
// `--to FILE` writes it elsewhere, to compare.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = join(root, 'training', 'kernels', 'assembly');
const again = process.argv.indexOf('--to');
const target = again < 0 ? join(root, 'training', 'kernels', 'wasm.ts') : process.argv[again + 1];
const options = ['-O3', '--runtime', 'stub', '--enable', 'simd', '--importMemory', '--noAssert', '--zeroFilledMemory'];

const files = readdirSync(folder)
  .filter((file) => file.endsWith('.ts'))
  .sort();
const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const hash = createHash('sha256').update(JSON.stringify([options, devDependencies.assemblyscript]));
for (const file of files) hash.update(file).update(readFileSync(join(folder, file)));
const made = `// Made by scripts/build-kernels.mjs from sources with SHA-256 ${hash.digest('hex')}`;

if (!existsSync(target) || !readFileSync(target, 'utf8').startsWith(made)) {
  const { main } = await import('assemblyscript/asc');
  const written = new Map();
  const { error, stderr } = await main(['index.ts', '--baseDir', folder, '--outFile', 'kernels.wasm', ...options], {
    writeFile: (name, contents) => void written.set(name, contents),
  });
  if (error) {
    console.error(`build: the kernels failed: ${error.message}\n${stderr.toString()}`);
    process.exit(1);
  }
  const text = Buffer.from(written.get('kernels.wasm')).toString('base64');
  const lines = text.match(/.{1,120}/g).map((line) => `  '${line}'`);
  writeFileSync(
    `${target}.new`,
    `${made}\n/** The kernels as a WebAssembly module, base64. */\nexport const kernelsWasm =\n${lines.join(' +\n')};\n`,
  );
  renameSync(`${target}.new`, target);
}
