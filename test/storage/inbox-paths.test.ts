import fc from 'fast-check';
import { checkObjectName, names } from '../../contracts/names';
import { nameOfPath, pathOfName } from '../../storage/inbox-paths';

const id = { run: 'r', track: 'train', recipe: 'abc' };
const segment = fc.oneof(
  fc.constantFrom('steps', 'partials', 'params', 'inbox', 'value', '0', '17', '007', '0-8', 'unfinished'),
  fc.stringMatching(/^[!-.0-[\]-~]{1,6}$/).filter((text) => text !== '.' && text !== '..'),
);
const name = fc.array(segment, { minLength: 1, maxLength: 8 }).map((segments) => checkObjectName(segments.join('/')));

describe('paths of a file exchange', () => {
  it('maps every name to a path and that path back to the name', () => {
    fc.assert(
      fc.property(name, (value) => expect(nameOfPath(pathOfName(value))).toBe(value)),
      { seed: 1, numRuns: 5_000 },
    );
  });

  it('never gives one path to two names, nor a file the path of a folder', () => {
    fc.assert(
      fc.property(name, name, (a, b) => {
        fc.pre(a !== b);
        const [first, second] = [pathOfName(a), pathOfName(b)];
        expect(first).not.toEqual(second);
        expect(`${second.folder}/`.startsWith(`${first.folder}/${first.file}/`)).toBe(false);
      }),
      { seed: 2, numRuns: 5_000 },
    );
  });

  it('gives the partials of one range a folder of their own, the same at every step and for every node', () => {
    const folder = (step: number, node: number, range: number) =>
      pathOfName(names.partial(id, step, { start: node, end: node + 1 }, { start: range, end: range + 64 })).folder;
    expect(folder(0, 0, 0)).toBe(folder(9, 3, 0));
    expect(folder(0, 0, 0)).not.toBe(folder(0, 0, 64));
  });

  it('puts the params of all ranges and steps into one folder, apart from state', () => {
    const at = (step: number, start: number) => ({ step, range: { start, end: start + 64 } });
    const params = [at(0, 0), at(5, 64)].map(({ step, range }) => pathOfName(names.params(id, step, range)).folder);
    expect(new Set(params).size).toBe(1);
    expect(pathOfName(names.state(id, 0, { start: 0, end: 64 })).folder).not.toBe(params[0]);
  });

  it('takes no foreign file for a value', () => {
    for (const file of ['core', '.DS_Store', 'value a b', 'value', '007 0-64', 'x 0-64'])
      expect(nameOfPath({ folder: 'runs/r/train/abc/inbox params', file })).toBeUndefined();
    expect(nameOfPath({ folder: 'unfinished values', file: '12-abc' })).toBeUndefined();
  });
});
