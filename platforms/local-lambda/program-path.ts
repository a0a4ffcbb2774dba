import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Where a program of this folder (`bootstrap`, `supervisor`) can be run by plain Node. Built, it lies beside this file.
 * From source, as in the tests, there is only TypeScript: esbuild, a development dependency, makes the same program.
 */
export function programPath(name: 'bootstrap' | 'supervisor'): string {
  const built = join(__dirname, `${name}.js`);
  if (existsSync(built)) return built;
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- not installed with the package, so it can't be an import
  const { buildSync } = require('esbuild') as {
    buildSync(options: object): { outputFiles: { contents: Uint8Array }[] };
  };
  const { outputFiles } = buildSync({
    entryPoints: [join(__dirname, `${name}.ts`)],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
  });
  const contents = outputFiles[0]?.contents ?? new Uint8Array();
  const folder = join(tmpdir(), `smlt-programs-${process.getuid?.() ?? 0}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, `${name}-${createHash('sha256').update(contents).digest('hex').slice(0, 16)}.js`);
  if (!existsSync(path)) {
    const aside = `${path}.${process.pid}`;
    writeFileSync(aside, contents);
    renameSync(aside, path);
  }
  return path;
}

/** The same for the Python runtime, which is a program as it is. */
export const pythonBootstrapPath = (): string => join(__dirname, 'bootstrap.py');
