import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { zipSync, type Zippable } from 'fflate';
import { SmltError } from '../../contracts/errors';
import { onnxruntimeFiles, onnxruntimeVersion, type PackagedFile } from './onnxruntime';

export interface PackageOptions {
  /** Where the functions' bundle is: its first file and whatever lies beside it. */
  readonly bundleDir: string;
  /** What the functions run on: Node with onnxruntime-node, which is packaged, or the user's Python. `node` by default. */
  readonly kind?: 'node' | 'python';
  /** Packages are kept here, the newest few. */
  readonly cacheDir: string;
  /** As Node names them: `linux` or `darwin`, `x64` or `arm64`. */
  readonly platform: string;
  readonly arch: string;
  /** Smaller and slower to make: worth it where every function's creation sends the package over a network. */
  readonly compress?: boolean;
}

export interface FunctionsPackage {
  readonly zipPath: string;
  /** Of the zip, in hex. The same sources give the same bytes on every machine. */
  readonly sha256: string;
}

const FORMAT = 1;
const KEPT_PACKAGES = 6;
const MAX_ZIP_BYTES = 52_428_800; // Lambda's limit for code that is sent directly
/** Zip knows no time before 1980; any fixed one will do. */
const FIXED_TIME = new Date(1980, 0, 1, 0, 0, 0);

/** Makes the code package of all functions, or finds the one made before from the same files. Safe to race. */
export async function packageFunctions(options: PackageOptions): Promise<FunctionsPackage> {
  const { bundleDir, kind = 'node', cacheDir, platform, arch, compress = false } = options;
  const entry = join(bundleDir, kind === 'node' ? 'index.js' : join('smlt', 'engine.js'));
  if (!existsSync(entry)) throw new SmltError('InvalidSpec', `no functions bundle at ${entry}; run npm run build`);
  const runtime = kind === 'node' ? onnxruntimeFiles(platform, arch) : [];
  const bundle = bundleFiles(bundleDir);
  const key = keyOf(bundle, runtime, `${platform}-${arch}-${compress ? 'small' : 'plain'}`);
  mkdirSync(cacheDir, { recursive: true });
  const found = findPackage(cacheDir, key);
  if (found) return found;

  const files = [...bundle, ...runtime];
  let zip = makeZip(files, compress);
  if (zip.byteLength > MAX_ZIP_BYTES && !compress) zip = makeZip(files, true);
  if (zip.byteLength > MAX_ZIP_BYTES) {
    throw new SmltError(
      'InvalidSpec',
      `the functions' package has ${zip.byteLength} bytes; Lambda takes at most ${MAX_ZIP_BYTES}: use fewer or smaller dependencies`,
    );
  }
  const sha256 = createHash('sha256').update(zip).digest('hex');
  const zipPath = join(cacheDir, `functions-${key}-${sha256}.zip`);
  const aside = join(cacheDir, `tmp-${key}-${process.pid}`);
  writeFileSync(aside, zip);
  renameSync(aside, zipPath);
  dropOldPackages(cacheDir);
  return { zipPath, sha256 };
}

function bundleFiles(bundleDir: string): PackagedFile[] {
  return readdirSync(bundleDir, { recursive: true, encoding: 'utf8' })
    .map((name) => ({ path: name.split(sep).join('/'), source: join(bundleDir, name) }))
    .filter(({ source }) => statSync(source).isFile());
}

/** The bundle counts by its bytes; onnxruntime by version and sizes, since reading 45 MB at every start would be felt. */
function keyOf(bundle: readonly PackagedFile[], runtime: readonly PackagedFile[], target: string): string {
  const hash = createHash('sha256').update(`${FORMAT} ${target} ${onnxruntimeVersion()}\n`);
  for (const { path, source } of bundle) hash.update(`${path} `).update(readFileSync(source)).update('\n');
  for (const { path, source } of runtime) hash.update(`${path} ${statSync(source).size}\n`);
  return hash.digest('hex').slice(0, 16);
}

function findPackage(cacheDir: string, key: string): FunctionsPackage | undefined {
  for (const name of readdirSync(cacheDir)) {
    const [, foundKey, sha256] = /^functions-([0-9a-f]{16})-([0-9a-f]{64})\.zip$/.exec(name) ?? [];
    if (foundKey === key && sha256 !== undefined) return { zipPath: join(cacheDir, name), sha256 };
  }
  return undefined;
}

/** Sorted names, one fixed time, and a compressor in plain JavaScript: bytes that do not depend on the machine. */
function makeZip(files: readonly PackagedFile[], compress: boolean): Uint8Array {
  const entries: Zippable = {};
  for (const { path, source } of [...files].sort((a, b) => (a.path < b.path ? -1 : 1))) {
    entries[path] = [readFileSync(source), { level: compress ? 6 : 0, mtime: FIXED_TIME }];
  }
  return zipSync(entries);
}

function dropOldPackages(cacheDir: string): void {
  const packages = readdirSync(cacheDir)
    .filter((name) => /^functions-.*\.zip$/.test(name))
    .map((name) => ({ path: join(cacheDir, name), madeAtMs: statSync(join(cacheDir, name)).mtimeMs }))
    .sort((a, b) => b.madeAtMs - a.madeAtMs);
  for (const { path } of packages.slice(KEPT_PACKAGES)) rmSync(path, { force: true });
}
