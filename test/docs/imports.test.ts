import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

const root = join(__dirname, '../..');
const rooms = ['contracts', 'scheduler', 'training', 'storage', 'platforms', 'functions', 'activities', 'workflows', 'worker', 'client', 'testing'];
const files = rooms.flatMap(
  (room) =>
  readdirSync(join(root, room), { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts')).map((path) => join(root, room, path)), // prettier-ignore
);

/** What a file imports of smlt, types included. */
function importsOf(file: string): string[] {
  const paths = [...readFileSync(file, 'utf8').matchAll(/ from '(\.{1,2}\/[^']+)'/g)].map(([, path]) => join(dirname(file), path!));
  return paths.map((path) => [`${path}.ts`, join(path, 'index.ts')].find((candidate) => existsSync(candidate))).filter((path) => path !== undefined);
}

/** The first circle that a walk from `file` comes to: each file imports the next, and the last the first. */
function circleFrom(file: string, trail: readonly string[], clear: Set<string>): string[] | undefined {
  if (clear.has(file)) return undefined;
  const at = trail.indexOf(file);
  if (at >= 0) return trail.slice(at).map((path) => relative(root, path));
  for (const next of importsOf(file)) {
    const circle = circleFrom(next, [...trail, file], clear);
    if (circle) return circle;
  }
  clear.add(file);
  return undefined;
}

describe('the files of all rooms', () => {
  it('import nothing that imports them, not even for a type', () => {
    const clear = new Set<string>();
    expect(files.length).toBeGreaterThan(300);
    expect(files.map((file) => circleFrom(file, [], clear)).find((circle) => circle !== undefined)).toBeUndefined();
  });
});
