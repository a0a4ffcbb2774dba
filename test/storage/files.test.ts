import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  watch,
  writeFileSync,
  type FSWatcher,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { names } from '../../contracts/names';
import { FilesObjectStore } from '../../storage/files/files-object-store';
import { TmpfsExchange } from '../../storage/files/tmpfs-exchange';
import { fullPath, pathOfName } from '../../storage/inbox-paths';
import { compileProgram, killChild, nextMessage, startChild } from '../support/child';
import { mountsBackend, type Mounts } from '../support/mounts';
import { requireBackend } from '../support/require';

const filled = (byte: number, bytes = 1_000) => new Uint8Array(bytes).fill(byte);
const fault = (code: string, message: RegExp) => expect.objectContaining({ code, message: expect.stringMatching(message) });
const params = (step: number) => names.params({ run: 'r', track: 'train', recipe: 'abc' }, step, { start: 0, end: 64 });
const program = join(__dirname, 'child-program.ts');

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'smlt-files-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Everything that lies in a folder, without the folder for unfinished writes. */
const contents = (root: string) => (readdirSync(root, { recursive: true }) as string[]).filter((path) => !path.includes('unfinished')).sort();

describe('files object store', () => {
  it('removes the folders that a delete leaves empty, and no others', async () => {
    const store = await FilesObjectStore.open(folder);
    for (const name of ['a/b/c/1', 'a/b/2']) await store.putValue(name, filled(1));
    await store.delete(['a/b/c/1']);
    expect(contents(folder)).toEqual(['a', 'a/b', 'a/b/2']);
    await store.delete(['a/b/2', 'a/b/2']);
    expect(contents(folder)).toEqual([]);
  });

  it('leaves nothing unfinished behind, whether a put wins, loses or fails', async () => {
    const store = await FilesObjectStore.open(folder);
    await Promise.allSettled(Array.from({ length: 20 }, (_, i) => store.putValue('raced', filled(i))));
    await store.replace('raced', filled(1));
    await expect(store.putValue('raced/below', filled(1))).rejects.toEqual(fault('InvalidName', /raced\/below/));
    expect(readdirSync(join(folder, '.smlt-unfinished'))).toEqual([]);
  });

  it('says that a name is taken by a folder of others, and by which path', async () => {
    const store = await FilesObjectStore.open(folder);
    await store.putValue('a/b', filled(1));
    for (const put of [store.putValue('a', filled(1)), store.decide('a', filled(1)), store.replace('a', filled(1))])
      await expect(put).rejects.toEqual(fault('InvalidName', /\/a: another object's name/));
    await expect(store.get('a')).rejects.toEqual(fault('ObjectMissing', /a/));
    expect(await store.head('a')).toBeUndefined();
  });

  it('refuses names in its own folder for unfinished writes', async () => {
    const store = await FilesObjectStore.open(folder);
    await expect(store.putValue('.smlt-unfinished/x', filled(1))).rejects.toEqual(fault('InvalidName', /kept for unfinished/));
  });

  it('says when a part of a name is too long for the file system', async () => {
    const store = await FilesObjectStore.open(folder);
    await expect(store.putValue('x'.repeat(300), filled(1))).rejects.toEqual(fault('InvalidName', /longer than the file system allows/));
  });

  it('sweeps what a dead writer left when it is opened, and nothing that is fresh', async () => {
    await FilesObjectStore.open(folder);
    mkdirSync(join(folder, '.smlt-unfinished'));
    for (const file of ['old', 'fresh']) writeFileSync(join(folder, '.smlt-unfinished', file), 'x');
    const hoursAgo = Date.now() / 1_000 - 7_200;
    utimesSync(join(folder, '.smlt-unfinished', 'old'), hoursAgo, hoursAgo);
    const store = await FilesObjectStore.open(folder);
    expect(readdirSync(join(folder, '.smlt-unfinished'))).toEqual(['fresh']);
    expect(await store.list('')).toEqual([]);
  });

  it('calls a store whose folder is gone unavailable, not its objects missing, and does not make it anew', async () => {
    const store = await FilesObjectStore.open(folder);
    await store.putValue('a', filled(1));
    rmSync(folder, { recursive: true });
    await expect(store.get('a')).rejects.toEqual(fault('StoreUnavailable', /is gone/));
    await expect(store.head('a')).rejects.toEqual(fault('StoreUnavailable', /is gone/));
    await expect(store.list('')).rejects.toEqual(fault('StoreUnavailable', /is gone/));
    await expect(store.putValue('b', filled(1))).rejects.toEqual(fault('StoreUnavailable', /is gone/));
    expect(existsSync(folder)).toBe(false);
  });

  it('lists through no link to elsewhere', async () => {
    const store = await FilesObjectStore.open(join(folder, 'store'));
    mkdirSync(join(folder, 'elsewhere'));
    writeFileSync(join(folder, 'elsewhere', 'secret'), 'x');
    symlinkSync(join(folder, 'elsewhere'), join(folder, 'store', 'link'));
    expect(await store.list('')).toEqual([]);
  });
});

describe('tmpfs exchange', () => {
  it('goes on by rechecks alone where the system grants no watches', async () => {
    const refuse = (): FSWatcher => {
      throw Object.assign(new Error('EMFILE: too many open files, watch'), { code: 'EMFILE' });
    };
    const exchange = TmpfsExchange.open(folder, refuse);
    const waiting = exchange.waitFor([params(1), params(2)], { timeoutMs: 10_000 });
    setTimeout(() => void exchange.putValue(params(1), [filled(1)]), 40);
    setTimeout(() => void exchange.putValue(params(2), [filled(1)]), 80);
    expect(await waiting).toEqual([]);
    await exchange.close();
  });

  it('wakes nobody for the values of another reader', async () => {
    const woken: string[] = [];
    const exchange = TmpfsExchange.open(folder, (path, listener) =>
      watch(path, { persistent: false }, (event, file) => {
        woken.push(file ?? '');
        listener(event, file);
      }),
    );
    const id = { run: 'r', track: 'train', recipe: 'abc' };
    const partial = (node: number, start: number) => names.partial(id, 1, { start: node, end: node + 1 }, { start, end: start + 64 });
    const waiting = exchange.waitFor([partial(9, 0)], { timeoutMs: 10_000 });
    for (let node = 0; node < 9; node++) await exchange.putValue(partial(node, 64), [filled(1)]);
    await exchange.putValue(partial(9, 0), [filled(1)]);
    expect(await waiting).toEqual([]);
    await new Promise((done) => setTimeout(done, 50));
    expect(new Set(woken)).toEqual(new Set(['1 9-10']));
    await exchange.close();
  });

  it('wakes a waiter soon after its folder was deleted from outside and made again', async () => {
    const exchange = TmpfsExchange.open(folder);
    const waiting = exchange.waitFor([params(1)], { timeoutMs: 10_000 });
    rmSync(join(folder, 'runs'), { recursive: true });
    setTimeout(() => void exchange.putValue(params(1), [filled(1)]), 60);
    expect(await waiting).toEqual([]);
    await exchange.close();
  });

  it('sweeps what dead writers left unfinished, and leaves what is fresh', async () => {
    const exchange = TmpfsExchange.open(folder);
    await exchange.putValue(params(1), [filled(1)]);
    for (const file of ['dead', 'fresh']) writeFileSync(join(folder, 'unfinished values', file), 'x');
    const minutesAgo = Date.now() / 1_000 - 120;
    utimesSync(join(folder, 'unfinished values', 'dead'), minutesAgo, minutesAgo);
    const later = TmpfsExchange.open(folder);
    expect(readdirSync(join(folder, 'unfinished values'))).toEqual(['fresh']);
    expect(await later.list('')).toEqual([params(1)]);
    await exchange.close();
    await later.close();
  });

  it('expires values and the folders they leave empty, and never a file of other programs', async () => {
    const exchange = TmpfsExchange.open(folder);
    await exchange.waitFor([names.state({ run: 'r', track: 'train', recipe: 'never' }, 1, { start: 0, end: 64 })], { timeoutMs: 1 });
    await exchange.putValue(params(1), [filled(1)]);
    mkdirSync(join(folder, 'letters'));
    for (const file of ['notes.txt', 'letters/to a friend', 'letters/my letter home']) writeFileSync(join(folder, file), 'x');
    await exchange.expire(-1_000);
    expect(contents(folder)).toEqual(['letters', 'letters/my letter home', 'letters/to a friend', 'notes.txt']);
    await exchange.close();
  });

  it('writes a value over the file of a deleted one of its size, and leaves no file when it is closed', async () => {
    const exchange = TmpfsExchange.open(folder);
    const inode = (step: number) => statSync(fullPath(folder, pathOfName(params(step)))).ino;
    await exchange.putValue(params(1), [filled(1, 100_000)]);
    await exchange.putValue(params(2), [filled(2, 100_000)]);
    const first = inode(1);
    await exchange.delete([params(1)]);
    await exchange.putValue(params(3), [filled(3, 90_000)]);
    await exchange.putValue(params(4), [filled(4, 100_000)]);
    expect(inode(3)).not.toBe(first);
    expect(inode(4)).toBe(first);
    expect(await exchange.get(params(4))).toEqual(filled(4, 100_000));
    expect(await exchange.get(params(1))).toBeUndefined();
    await exchange.delete([2, 3, 4].map(params));
    expect(readdirSync(join(folder, 'unfinished values'))).toHaveLength(3);
    await exchange.close();
    expect(readdirSync(join(folder, 'unfinished values'))).toEqual([]);
  });

  it.each([
    ['other bytes', 2],
    ['the same bytes', 1],
  ])('finds nothing where a name was deleted while it was read, though its file holds %s by now', async (_what, byte) => {
    const exchange = TmpfsExchange.open(folder);
    await exchange.putValue(params(1), [filled(1, 100_000)]);
    const overtaken = Object.assign(new Uint8Array(100_000), {
      /** Called when the header has been read, and the value has not. */
      subarray(...span: [number, number]) {
        void exchange.delete([params(1)]);
        void exchange.putValue(params(2), [filled(byte, 100_000)]);
        return Uint8Array.prototype.subarray.apply(this, span);
      },
    });
    expect(await exchange.getInto(params(1), overtaken)).toBe(false);
    expect(await exchange.get(params(2))).toEqual(filled(byte, 100_000));
    await exchange.close();
  });

  it('leaves no folders of a run when all of its names are deleted', async () => {
    const exchange = TmpfsExchange.open(folder);
    expect(await exchange.waitFor([params(5)], { timeoutMs: 30 })).toEqual([params(5)]);
    for (const step of [1, 2]) await exchange.putValue(params(step), [filled(1)]);
    await exchange.delete(await exchange.list('runs/r/'));
    expect(contents(folder)).toEqual([]);
    await exchange.close();
  });
});

mountsBackend.describe('files on a full or write-protected disk', (openMounts) => {
  let mounts: Mounts;
  beforeEach(() => void (mounts = openMounts()));
  afterEach(() => mounts.release());

  it('says that the disk is full, how much was needed and where, keeps what is there, and takes values again later', async () => {
    const root = mounts.small(256);
    const store = await FilesObjectStore.open(root);
    await store.putValue('a', filled(1, 100_000));
    const full = fault('StoreFull', /b: no space left, 200048 bytes were needed, \d+ are free; free some/);
    for (const put of [
      () => store.putValue('b', filled(2, 200_000)),
      () => store.replace('b', filled(2, 200_000)),
      () => store.decide('b', filled(2, 200_000)),
    ])
      await expect(put()).rejects.toEqual(full);
    await expect(store.replace('a', filled(2, 200_000))).rejects.toEqual(fault('StoreFull', /a: no space left/));
    expect(await store.list('')).toEqual(['a']);
    expect(Buffer.compare(await store.get('a'), filled(1, 100_000))).toBe(0);
    expect(readdirSync(join(root, '.smlt-unfinished'))).toEqual([]);
    await store.delete(['a']);
    await store.putValue('b', filled(2, 200_000));
  });

  it('says the same of a full exchange, whose values stay', async () => {
    const root = mounts.small(256);
    const exchange = TmpfsExchange.open(root);
    await exchange.putValue(params(1), [filled(1, 100_000)]);
    await expect(exchange.putValue(params(2), [filled(2, 100_000), filled(2, 100_000)])).rejects.toEqual(
      fault('StoreFull', /200024 bytes were needed/),
    );
    expect(await exchange.list('')).toEqual([params(1)]);
    expect(readdirSync(join(root, 'unfinished values'))).toEqual([]);
    await exchange.delete([params(1)]);
    await exchange.putValue(params(2), [filled(2, 200_000)]);
    await exchange.close();
  });

  it('reads from a read-only file system and says what it is when asked to write', async () => {
    await (await FilesObjectStore.open(folder)).putValue('a/b', filled(1));
    const store = await FilesObjectStore.open(mounts.readOnly(folder));
    expect(await store.get('a/b')).toEqual(filled(1));
    await store.putValue('a/b', filled(1));
    const readOnly = fault('StoreDenied', /read-only; mount it writable/);
    await expect(store.putValue('a/c', filled(1))).rejects.toEqual(readOnly);
    await expect(store.delete(['a/b'])).rejects.toEqual(readOnly);
  });
});

const rootUser = requireBackend('root', () => (process.getuid?.() === 0 ? true : undefined), 'run the tests as root');
rootUser.describe('files of another user', () => {
  it('says permission denied, for whom and where, and never that the object is missing', async () => {
    chmodSync(folder, 0o755);
    const store = await FilesObjectStore.open(folder);
    await store.putValue('private/a', filled(1));
    chmodSync(join(folder, 'private'), 0o700);
    const compiled = compileProgram(program);
    const child = startChild(compiled, ['read-denied', pathToFileURL(folder).href, 'private/a'], { uid: 65_534 });
    try {
      const outcomes = await nextMessage<string[]>(child);
      for (const outcome of outcomes)
        expect(outcome).toMatch(/^StoreDenied: .*: permission denied for user 65534; give that user read and write access/);
      expect(outcomes).toHaveLength(3);
    } finally {
      await killChild(child);
    }
  }, 30_000);
});
