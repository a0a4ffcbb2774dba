import { mkdirSync, statSync, watch, type FSWatcher } from 'node:fs';
import { basename } from 'node:path';

/** Told which file came or went in a folder; undefined when the system did not say. */
export type InboxListener = (file: string | undefined) => void;
export type WatchFolder = (folder: string, listener: (event: string, file: string | null) => void) => FSWatcher;

interface WatchedFolder {
  watcher: FSWatcher;
  /** Which folder this is: one that was deleted and made again has the same path, and the old watch sees nothing of it. */
  identity: string;
  readonly listeners: Set<InboxListener>;
}

/** Watches that nobody waits on are kept for the next step, up to this many. */
const keptWatches = 64;
/** After the system has refused a watch (its user has too many), leave it alone for this long. */
const refusedForMs = 5_000;

/**
 * Watches inbox folders for everybody in this process who waits. A watch is only a hint: it may be refused (Linux allows
 * some 128 watching processes a user) or go blind when its folder is swept, so a waiter also looks for itself.
 */
export class InboxWatch {
  private readonly folders = new Map<string, WatchedFolder>();
  private refusedUntilMs = 0;

  constructor(private readonly watchFolder: WatchFolder = (folder, listener) => watch(folder, { persistent: false }, listener)) {}

  /** Listens to a folder, making it where it is missing. Call `renew` now and then. */
  listen(folder: string, listener: InboxListener): void {
    const watched = this.renew(folder);
    if (watched === undefined) return;
    watched.listeners.add(listener);
    this.folders.delete(folder); // to the end: the map's order is the order of last use
    this.folders.set(folder, watched);
  }

  unlisten(folder: string, listener: InboxListener): void {
    this.folders.get(folder)?.listeners.delete(listener);
    for (const [oldest, { listeners }] of this.folders) {
      if (this.folders.size <= keptWatches) return;
      if (listeners.size === 0) this.drop(oldest);
    }
  }

  /** Sees to it that the folder exists and that the watch on it, if there may be one, sees it. */
  renew(folder: string): WatchedFolder | undefined {
    const known = this.folders.get(folder);
    const identity = identityOf(folder);
    if (known !== undefined && identity === known.identity) return known;
    if (Date.now() < this.refusedUntilMs) return undefined;
    this.drop(folder);
    const listeners = known?.listeners ?? new Set<InboxListener>();
    try {
      mkdirSync(folder, { recursive: true });
      const watched: WatchedFolder = { watcher: this.open(folder, listeners), identity: identityOf(folder) ?? '', listeners };
      this.folders.set(folder, watched);
      return watched;
    } catch {
      this.refusedUntilMs = Date.now() + refusedForMs;
      return undefined;
    }
  }

  close(): void {
    for (const folder of [...this.folders.keys()]) this.drop(folder);
  }

  private open(folder: string, listeners: Set<InboxListener>): FSWatcher {
    const ownName = basename(folder);
    const watcher = this.watchFolder(folder, (_event, file) => {
      if (file === ownName) {
        const watched = this.folders.get(folder);
        if (watched?.watcher === watcher) watched.identity = ''; // the folder itself went; the next look renews
      }
      for (const listener of [...listeners]) listener(file ?? undefined);
    });
    watcher.on('error', () => this.drop(folder));
    return watcher;
  }

  private drop(folder: string): void {
    this.folders.get(folder)?.watcher.close();
    this.folders.delete(folder);
  }
}

function identityOf(folder: string): string | undefined {
  const info = statSync(folder, { throwIfNoEntry: false });
  return info && `${info.dev} ${info.ino} ${info.birthtimeMs}`;
}
