import { existsSync, linkSync, mkdirSync, readdirSync, rmdirSync, statSync, type Dirent } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { SmltError } from '../../contracts/errors';
import { bytesOf, checkRoom, exchangeFrames, type FrameHeader } from '../frame';
import { noTraffic, type Exchange, type ExchangeTraffic, type Taker, type Taking, type WaitOptions } from '../exchange';
import { checkPrefix } from '../prefix';
import { failedWith, fileFault, isAbsent } from './faults';
import { fullPath, nameOfPath, pathOfName } from '../inbox-paths';
import { InboxWatch, type WatchFolder } from './inbox-watch';
import { SpareFiles } from './spare-files';
import { TmpfsTaking } from './tmpfs-taking';
import { readHeader, readWhole, removeFile, removeOld, writeFile } from './value-file';

/** Holds a space, as no name does. Outside every inbox, so that an unfinished file wakes nobody. */
const asideFolder = 'unfinished values';
const staleAfterMs = 60_000;
const recheckMs = 25;
const folderRetries = 100;

/**
 * Values as files in memory, one folder for each reader (inbox-paths.ts).
 * 1. A value appears whole: written aside, then linked, which also decides who was first.
 * 2. What is corrupt is deleted by whoever finds it, and counts as absent.
 * 3. Any file or folder may vanish at any moment; a writer makes its folder again, a reader sees nothing.
 * 4. A deleted value's file may become another value's: who reads sees after it that the name is still the file's.
 * 5. Traffic is the bytes that were really moved, headers included, and one request a call.
 */
export class TmpfsExchange implements Exchange {
  readonly uri: string;
  readonly traffic: ExchangeTraffic = noTraffic();
  private readonly watch: InboxWatch;
  private readonly spares: SpareFiles;
  private sweptAtMs = Date.now();

  private constructor(
    private readonly root: string,
    watchFolder?: WatchFolder,
  ) {
    this.uri = pathToFileURL(root).href.replace(/^file:/, 'tmpfs:');
    this.watch = new InboxWatch(watchFolder);
    this.spares = new SpareFiles(join(root, asideFolder));
  }

  /** @throws {SmltError} `StoreDenied` when the folder can't be made, or is another user's */
  static open(root: string, watchFolder?: WatchFolder): TmpfsExchange {
    try {
      mkdirSync(root, { recursive: true, mode: 0o700 });
      const owner = statSync(root).uid;
      const self = process.getuid?.() ?? owner;
      // /dev/shm is open to all: a folder that somebody else has put there could feed us their values.
      if (owner !== self && self !== 0)
        throw new SmltError('StoreDenied', `${root}: this folder belongs to user ${owner}; name another one as tmpfs:///path`);
    } catch (error) {
      if (failedWith(error, 'EEXIST', 'ENOTDIR'))
        throw new SmltError('StoreDenied', `${root}: expected a folder for the exchange, found a file in the way`, { cause: error });
      throw fileFault(error, root);
    }
    const exchange = new TmpfsExchange(root, watchFolder);
    exchange.sweepUnfinished(staleAfterMs);
    return exchange;
  }

  async putValue(name: string, parts: readonly Uint8Array[], signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const path = this.pathOf(name);
    this.traffic.requests++;
    this.traffic.puts++;
    let offered: FrameHeader | undefined;
    for (;;) {
      const stored = readHeader(path);
      if (stored === undefined) {
        const { frame, won } = this.putIfAbsent(path, parts);
        if (won) return;
        offered = frame; // another's value is there; or was, if it is corrupt or swept by now
        continue;
      }
      offered ??= exchangeFrames.frameOf(parts);
      if (stored.digest !== offered.digest) throw exchangeFrames.notDeterministic(name, stored, offered);
      return;
    }
  }

  async get(name: string, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    let value: Uint8Array | undefined;
    const room = (bytes: number) => (value = new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer));
    return this.read(name, room, signal) && value;
  }

  async getInto(name: string, into: Uint8Array, signal?: AbortSignal): Promise<boolean> {
    const stored = this.read(name, (bytes) => (bytes === into.byteLength ? into : undefined), signal);
    if (stored) checkRoom(stored, into, name);
    return stored !== undefined;
  }

  async present(names: readonly string[], signal?: AbortSignal): Promise<boolean[]> {
    signal?.throwIfAborted();
    this.traffic.requests++;
    return names.map((name) => existsSync(this.pathOf(name)));
  }

  async waitFor(names: readonly string[], { timeoutMs, signal }: WaitOptions, onArrival?: (name: string) => void): Promise<string[]> {
    signal?.throwIfAborted();
    this.traffic.requests++;
    /** By folder and file, what has not been seen yet. */
    const missing = new Map<string, Map<string, string>>();
    for (const name of names) {
      const { folder, file } = pathOfName(name);
      const inbox = join(this.root, folder);
      const files = missing.get(inbox) ?? new Map<string, string>();
      missing.set(inbox, files.set(file, name));
    }
    const look = (inbox: string, file: string, name: string) => {
      const files = missing.get(inbox);
      if (files?.has(file) !== true || !existsSync(join(inbox, file))) return;
      files.delete(file);
      if (files.size === 0) missing.delete(inbox);
      onArrival?.(name);
    };
    const lookAtAll = () => {
      for (const [inbox, files] of [...missing]) for (const [file, name] of [...files]) look(inbox, file, name);
    };
    lookAtAll();
    signal?.throwIfAborted(); // onArrival may have had enough
    if (missing.size > 0 && timeoutMs > 0) await this.watchUntilSeen(missing, look, lookAtAll, timeoutMs, signal);
    const left = new Set([...missing.values()].flatMap((files) => [...files.values()]));
    return [...left];
  }

  take(taker: Taker): Taking {
    return new TmpfsTaking(this.root, this.watch, this.traffic, taker);
  }

  async delete(names: readonly string[], signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const paths = names.map((name) => this.pathOf(name));
    this.traffic.requests++;
    for (const path of paths) this.spares.retire(path);
    for (const folder of new Set(paths.map(dirname))) this.removeEmpty(folder);
    if (Date.now() - this.sweptAtMs > staleAfterMs) this.sweepUnfinished(staleAfterMs);
  }

  async list(prefix: string, signal?: AbortSignal): Promise<string[]> {
    signal?.throwIfAborted();
    checkPrefix(prefix);
    this.traffic.requests++;
    // Names with a step in them leave the path of their segments at `steps`.
    const whole = prefix.split('/').slice(0, -1);
    const cut = whole.indexOf('steps');
    const start = join(this.root, ...(cut < 0 ? whole : whole.slice(0, cut)));
    const found: string[] = [];
    const folders = [start];
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      for (const entry of entriesOf(folder)) {
        if (entry.isDirectory()) folders.push(join(folder, entry.name));
        else {
          const name = nameOfPath({ folder: relative(this.root, folder), file: entry.name });
          if (name?.startsWith(prefix) === true) found.push(name);
        }
      }
    }
    return found;
  }

  async expire(olderThanMs: number): Promise<void> {
    const borderMs = Date.now() - olderThanMs;
    const emptied = new Set<string>();
    const folders = [this.root];
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      if (basename(folder).startsWith('inbox')) emptied.add(folder); // perhaps made by a waiter whose value never came
      for (const entry of entriesOf(folder)) {
        const path = join(folder, entry.name);
        if (entry.isDirectory()) folders.push(path);
        // A URI may point at a folder with files of other programs: those are nobody's to delete here.
        else if (nameOfPath({ folder: relative(this.root, folder), file: entry.name }) !== undefined && removeOld(path, borderMs))
          emptied.add(folder);
      }
    }
    for (const folder of emptied) this.removeEmpty(folder);
    this.sweepUnfinished(olderThanMs);
  }

  async close(): Promise<void> {
    this.watch.close();
    this.spares.clear();
  }

  /**
   * Removes files that writers have left unfinished for so long: they died at it. A writer that is only slow writes its
   * file again. `delete` calls this about once a minute.
   */
  sweepUnfinished(olderThanMs: number): void {
    this.sweptAtMs = Date.now();
    const folder = join(this.root, asideFolder);
    for (const { name } of entriesOf(folder)) removeOld(join(folder, name), this.sweptAtMs - olderThanMs);
  }

  private pathOf(name: string): string {
    return fullPath(this.root, pathOfName(name));
  }

  /** Waits for events of the inboxes, and looks every 25 ms all the same, until nothing is missing or time is up. */
  private watchUntilSeen(
    missing: ReadonlyMap<string, ReadonlyMap<string, string>>,
    look: (inbox: string, file: string, name: string) => void,
    lookAtAll: () => void,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const untilMs = performance.now() + timeoutMs;
    const inboxes = [...missing.keys()];
    const listeners = new Map<string, (file: string | undefined) => void>();
    return new Promise<void>((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const end = (settle: () => void) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        for (const [inbox, listener] of listeners) this.watch.unlisten(inbox, listener);
        listeners.clear();
        settle();
      };
      const onAbort = () => end(() => reject(signal?.reason));
      /** Runs a look; ends when it found the last one, or when the caller's onArrival threw. */
      const attempt = (looking: () => void) => {
        try {
          looking();
        } catch (error) {
          return end(() => reject(error));
        }
        if (missing.size === 0) end(resolve);
      };
      const recheck = () => {
        const leftMs = untilMs - performance.now();
        attempt(() => {
          for (const inbox of missing.keys()) this.watch.renew(inbox);
          lookAtAll();
        });
        if (listeners.size === 0) return; // ended
        if (leftMs <= 0) return end(resolve);
        timer = setTimeout(recheck, Math.min(recheckMs, leftMs));
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      for (const inbox of inboxes) {
        const listener = (file: string | undefined) => {
          if (!listeners.has(inbox)) return;
          const name = file === undefined ? undefined : missing.get(inbox)?.get(file);
          if (file === undefined) attempt(lookAtAll);
          else if (name !== undefined) attempt(() => look(inbox, file, name));
        };
        listeners.set(inbox, listener);
        this.watch.listen(inbox, listener);
      }
      recheck(); // what came before the watch stood
    });
  }

  private read(name: string, roomFor: (bytes: number) => Uint8Array | undefined, signal: AbortSignal | undefined): FrameHeader | undefined {
    signal?.throwIfAborted();
    const path = this.pathOf(name);
    this.traffic.requests++;
    this.traffic.gets++;
    const stored = readWhole(path, roomFor);
    if (stored) this.traffic.bytesRead += exchangeFrames.headerBytes + stored.bytes;
    return stored;
  }

  /** `won` when this call made the value, and not when one was there. */
  private putIfAbsent(path: string, parts: readonly Uint8Array[]): { frame: FrameHeader; won: boolean } {
    const framedBytes = exchangeFrames.headerBytes + bytesOf(parts);
    const spare = this.spares.take(framedBytes);
    const aside = spare ?? this.spares.newPath();
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          const frame = writeFile(aside, parts, spare !== undefined && attempt === 1 ? 'overwritten' : 'new');
          const won = linked(aside, path);
          if (won) {
            this.spares.wrote(path, framedBytes);
            this.traffic.bytesWritten += framedBytes;
          }
          return { frame, won };
        } catch (error) {
          if (failedWith(error, 'ENOSPC', 'EDQUOT') && this.spares.clear()) continue;
          if (!failedWith(error, 'ENOENT') || attempt === folderRetries) throw error;
          makeFolder(dirname(aside));
          makeFolder(dirname(path));
        }
      }
    } catch (error) {
      throw fileFault(error, path, framedBytes);
    } finally {
      removeFile(aside);
    }
  }

  private removeEmpty(folder: string): void {
    for (let empty = folder; empty !== this.root; empty = dirname(empty)) {
      try {
        rmdirSync(empty);
      } catch (error) {
        if (!failedWith(error, 'ENOENT')) return;
      }
    }
  }
}

/** Gives a file a second name; false when that is taken. */
function linked(aside: string, path: string): boolean {
  try {
    linkSync(aside, path);
    return true;
  } catch (error) {
    if (failedWith(error, 'EEXIST')) return false;
    throw error;
  }
}

function makeFolder(folder: string): void {
  for (let attempt = 1; ; attempt++) {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      return;
    } catch (error) {
      if (!failedWith(error, 'ENOENT') || attempt === folderRetries) throw error;
    }
  }
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    if (isAbsent(error)) return [];
    throw fileFault(error, folder);
  }
}
