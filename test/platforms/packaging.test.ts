import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unzipSync } from 'fflate';
import { openPlatform } from '../../platforms';
import { packageFunctions } from '../../platforms/packaging';
import { removeTemporaryFolders, startTestServer, temporaryFolder } from './support';

/** Enough to see the native library load inside a function. */
const SOURCE = `
const ort = require('onnxruntime-node');
exports.evaluate = async () => ({ backends: ort.listSupportedBackends().map(({ name }) => name), tensor: Array.from(new ort.Tensor('float32', [1, 2], [2]).data) });
`;
const bundleDir = temporaryFolder();
const cacheDir = temporaryFolder();
writeFileSync(join(bundleDir, 'index.js'), SOURCE);
const here = { platform: process.platform, arch: process.arch };
afterAll(removeTemporaryFolders);

it('makes the same bytes anew, and finds what it made before', async () => {
  const first = await packageFunctions({ bundleDir, cacheDir, ...here });
  const madeAnew = await packageFunctions({ bundleDir, cacheDir: temporaryFolder(), ...here });
  const found = await packageFunctions({ bundleDir, cacheDir, ...here });
  expect(madeAnew.sha256).toBe(first.sha256);
  expect(found).toEqual(first);
  expect(createHash('sha256').update(readFileSync(first.zipPath)).digest('hex')).toBe(first.sha256);
  expect(readdirSync(cacheDir)).toHaveLength(1);
});

it('holds one platform’s binaries, within Lambda’s limits', async () => {
  for (const [platform, arch] of [
    ['linux', 'x64'],
    ['linux', 'arm64'],
    ['darwin', 'arm64'],
  ] as const) {
    const { zipPath } = await packageFunctions({ bundleDir, cacheDir, platform, arch });
    const zip = readFileSync(zipPath);
    expect(zip.byteLength).toBeLessThan(52_428_800);
    const sizes = new Map<string, number>();
    unzipSync(zip, {
      filter: ({ name, originalSize }) => {
        sizes.set(name, originalSize);
        return false;
      },
    });
    const natives = [...sizes.keys()].filter((name) => name.includes('/napi-v6/'));
    expect(natives.every((name) => name.includes(`/${platform}/${arch}/`))).toBe(true);
    expect(natives).toHaveLength(2); // the library and its binding
    expect([...sizes.values()].reduce((sum, size) => sum + size, 0)).toBeLessThan(262_144_000);
  }
});

it('changes its digest with the bundle', async () => {
  const other = temporaryFolder();
  writeFileSync(join(other, 'index.js'), `${SOURCE}\n`);
  const [a, b] = [await packageFunctions({ bundleDir, cacheDir, ...here }), await packageFunctions({ bundleDir: other, cacheDir, ...here })];
  expect(a.sha256).not.toBe(b.sha256);
});

it('runs onnxruntime inside a function', async () => {
  const { zipPath, sha256 } = await packageFunctions({ bundleDir, cacheDir, ...here });
  const server = await startTestServer();
  const platform = await openPlatform({ endpoint: server.endpoint, zipPath, codeSha256: sha256 });
  const [small, large] = await Promise.all([256, 512].map((memoryMib) => platform.ensure({ role: 'evaluate', memoryMib, timeoutMs: 30_000 })));
  for (const reference of [small, large]) {
    expect(await platform.invoke(reference as NonNullable<typeof small>, {})).toMatchObject({
      kind: 'returned',
      output: { backends: expect.arrayContaining(['cpu']), tensor: [1, 2] },
    });
  }
  expect(readdirSync(join(server.stateDir, 'code')).sort()).toEqual([sha256, `${sha256}.zip`]);
  await server.close();
});

it('refuses what it cannot make', async () => {
  await expect(packageFunctions({ bundleDir: cacheDir, cacheDir, ...here })).rejects.toMatchObject({
    code: 'InvalidSpec',
    message: expect.stringMatching(/npm run build/),
  });
  await expect(packageFunctions({ bundleDir, cacheDir, platform: 'darwin', arch: 'x64' })).rejects.toMatchObject({
    message: expect.stringMatching(/darwin-x64/),
  });
});
