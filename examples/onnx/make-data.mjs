// Ratings that hidden tastes explain, with noise: train, validation and test in data/, or in the folder that is named.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
const folder = process.argv[2] ?? join(here, 'data');
const { encodeSafetensors } = createRequire(import.meta.url)('../../dist/training/safetensors.js');

let state = 7;
const random = () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
/** About normal: the sum of twelve uniform numbers. */
const normal = () => Array.from({ length: 12 }, random).reduce((sum, value) => sum + value, -6);
const tastes = (count) => Array.from({ length: count }, () => [normal(), normal(), normal()]);
const [users, items] = [tastes(200), tastes(100)];

function write(name, samples) {
  const user = BigInt64Array.from({ length: samples }, () => BigInt(Math.floor(random() * users.length)));
  const item = BigInt64Array.from({ length: samples }, () => BigInt(Math.floor(random() * items.length)));
  const rating = Float32Array.from(user, (u, s) => {
    const [a, b] = [users[u], items[item[s]]];
    return 3 + 0.3 * a[0] + 0.3 * b[0] + 0.4 * (a[1] * b[1] + a[2] * b[2]) + 0.2 * normal();
  });
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${name}.safetensors`);
  const tensor = (key, dtype, shape, data) => ({ name: key, dtype, shape, data });
  writeFileSync(
    file,
    encodeSafetensors([
      tensor('user', 'I64', [samples], user),
      tensor('item', 'I64', [samples], item),
      tensor('rating', 'F32', [samples, 1], rating),
    ]),
  );
  const args = ['data', 'pack', join(folder, name), '--features', `${file}:user,item`, '--targets', `${file}:rating`];
  const { status } = spawnSync(process.execPath, [join(root, 'bin', 'smlt.js'), ...args], { stdio: 'inherit' });
  rmSync(file);
  if (status !== 0) process.exit(1);
}

for (const name of ['train', 'validation', 'test']) rmSync(join(folder, name), { recursive: true, force: true });
write('train', 8192);
write('validation', 1024);
write('test', 1024);
