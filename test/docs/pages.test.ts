import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseJob } from '../../contracts/job';
import { layerNames } from '../../contracts/model';

const root = join(__dirname, '../..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.md')).map((path) => join('docs', path)), // prettier-ignore
];

describe('the documentation', () => {
  it.each(pages)('links only to files that exist: %s', (page) => {
    const links = [...read(page).matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, path]) => path!);
    expect(links.filter((path) => !existsSync(join(root, dirname(page), path)))).toEqual([]);
  });

  it.each(['README.md', 'docs/job.md'])('shows a job that smlt accepts: %s', (page) => {
    const [, text] = /```json\n([\s\S]*?)```/.exec(read(page))!;
    expect(() => parseJob(JSON.parse(text!))).not.toThrow();
  });

  it('names every layer in docs/job.md', () => {
    expect(layerNames.filter((name) => !read('docs/job.md').includes(`"${name}"`))).toEqual([]);
  });
});
