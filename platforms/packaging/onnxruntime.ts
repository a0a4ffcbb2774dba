import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { SmltError } from '../../contracts/errors';

export interface PackagedFile {
  /** Path inside the package, with forward slashes. */
  readonly path: string;
  readonly source: string;
}

/** The systems that functions can be packaged for: those that onnxruntime-node has binaries for. */
const targets = ['linux-x64', 'linux-arm64', 'darwin-arm64'] as const;

/** What onnxruntime-node needs at run time on one platform, and nothing else: all of it is 300 MB, one platform 45. */
export function onnxruntimeFiles(platform: string, arch: string): PackagedFile[] {
  const wanted = `${platform}-${arch}`;
  if (!(targets as readonly string[]).includes(wanted)) {
    throw new SmltError('InvalidSpec', `functions can't be packaged for ${wanted}; onnxruntime-node runs on ${targets.join(', ')}`);
  }
  const nodeRoot = packageRoot('onnxruntime-node', __dirname);
  const commonRoot = packageRoot('onnxruntime-common', nodeRoot);
  const binaries = join('bin', 'napi-v6', platform, arch);
  if (!existsSync(join(nodeRoot, binaries))) {
    throw new SmltError('InvalidSpec', `onnxruntime-node has no binaries at ${binaries}; it may be only partly installed: run npm ci`);
  }
  // macOS gets the same library twice, under two names; the binding asks for the short one.
  const isDouble = (name: string): boolean => platform === 'darwin' && /^libonnxruntime\.\d+\.\d+\.\d+\.dylib$/.test(name);
  return [
    ...filesIn('onnxruntime-node', nodeRoot, ['package.json']),
    ...filesIn('onnxruntime-node', nodeRoot, scripts(join(nodeRoot, 'dist'), 'dist')),
    ...filesIn(
      'onnxruntime-node',
      nodeRoot,
      readdirSync(join(nodeRoot, binaries))
        .filter((name) => !isDouble(name))
        .map((name) => join(binaries, name)),
    ),
    ...filesIn('onnxruntime-common', commonRoot, ['package.json', join('dist', 'cjs', 'package.json')]),
    ...filesIn('onnxruntime-common', commonRoot, scripts(join(commonRoot, 'dist', 'cjs'), join('dist', 'cjs'))),
  ];
}

export function onnxruntimeVersion(): string {
  const { version } = JSON.parse(readFileSync(join(packageRoot('onnxruntime-node', __dirname), 'package.json'), 'utf8')) as { version: string };
  return version;
}

function packageRoot(name: string, from: string): string {
  let folder = dirname(require.resolve(name, { paths: [from] }));
  while (!existsSync(join(folder, 'package.json')) || !folder.endsWith(`${sep}${name}`)) {
    if (dirname(folder) === folder) throw new SmltError('InvalidSpec', `the npm package ${name} is not installed; run npm ci`);
    folder = dirname(folder);
  }
  return folder;
}

const scripts = (folder: string, under: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.js'))
    .map((name) => join(under, name));

function filesIn(name: string, root: string, paths: readonly string[]): PackagedFile[] {
  return paths.map((path) => ({ path: ['node_modules', name, ...relative(root, join(root, path)).split(sep)].join('/'), source: join(root, path) }));
}
