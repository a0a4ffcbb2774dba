import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '../..');
const page = readFileSync(join(root, 'docs/cli.md'), 'utf8');
const sourcesOf = (room: string) =>
  readdirSync(join(root, room), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readFileSync(join(root, room, path), 'utf8'));

describe('docs/cli.md', () => {
  it('names every command', () => {
    const commands = sourcesOf('client/cli').flatMap((text) => [...text.matchAll(/new Command\('([a-z-]+)'\)/g)].map(([, name]) => name!));
    expect(commands.length).toBeGreaterThan(10);
    expect(commands.filter((name) => name !== 'smlt' && !new RegExp(`\`(smlt )?(\\w+ )?${name}\\b`).test(page))).toEqual([]);
  });

  it('names every environment variable of smlt that the rooms read', () => {
    const rooms = ['client', 'worker', 'storage', 'platforms', 'functions', 'activities'];
    const read = rooms.flatMap(sourcesOf).flatMap((text) => [...text.matchAll(/\bSMLT_[A-Z_]+\b/g)].map(([name]) => name));
    expect([...new Set(read)].filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  });
});
