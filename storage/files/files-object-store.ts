import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { link, mkdir, open, readdir, rename, rmdir, stat, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { SmltError } from '../../contracts/errors';
import { checkObjectName } from '../../contracts/names';
import { checkRoom, objectFrames, type Frame, type FrameHeader } from '../frame';
import type { ObjectInfo, ObjectStore } from '../object-store';
import { checkPrefix, folderOf } from '../prefix';
import { failedWith, fileFault, isAbsent } from './faults';

/** Writers put unfinished files here: on the store's own file system, since a link cannot leave it. */
const asideFolder = '.smlt-unfinished';
const staleAfterMs = 3_600_000;
/** How often a writer whose folder is swept away under its hands makes it again. */
const folderRetries = 100;
const deletesAtOnce = 64;

/**
 * Objects as files under one folder, an object's name being its path.
 * 1. A file appears under its name whole and on the disk: written aside, synced, then linked (rename would overwrite).
 * 2. Links decide races: the first wins, the others see EEXIST and look at what is there.
 * 3. Empty folders vanish with their last object; a writer that loses its folder to that makes it again.
 */
export class FilesObjectStore implements ObjectStore {
  readonly uri: string;

  private constructor(private readonly root: string) {
    this.uri = pathToFileURL(root).href;
  }

  /** @throws {SmltError} `StoreDenied` when the folder can be neither found nor made. */
  static async open(root: string): Promise<FilesObjectStore> {
    try {
      await mkdir(root, { recursive: true });
    } catch (error) {
      if (failedWith(error, 'EEXIST', 'ENOTDIR'))
        throw new SmltError('StoreDenied', `${root}: expected a folder for the object store, found a file in the way`, { cause: error });
      throw fileFault(error, root);
    }
    const store = new FilesObjectStore(root);
    await store.sweepStale(staleAfterMs).catch(() => undefined); // tidying up must not keep a reader out
    return store;
  }

  async putValue(name: string, bytes: Uint8Array, signal?: AbortSignal): Promise<void> {
    const path = this.pathOf(name);
    const frame = objectFrames.frameOf([bytes]);
    for (;;) {
      signal?.throwIfAborted();
      const stored = (await this.header(path)) ?? ((await this.putIfAbsent(path, frame, bytes)) ? frame : await this.header(path));
      if (stored === undefined) continue; // deleted between our link and our look: ours to write again
      if (stored.digest !== frame.digest) throw objectFrames.notDeterministic(path, stored, frame);
      return;
    }
  }

  async decide(name: string, bytes: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const path = this.pathOf(name);
    const frame = objectFrames.frameOf([bytes]);
    for (;;) {
      signal?.throwIfAborted();
      const stored = await this.read(path);
      if (stored !== undefined) return stored;
      if (await this.putIfAbsent(path, frame, bytes)) return new Uint8Array(bytes); // a Buffer's slice would be a view
    }
  }

  async replace(name: string, bytes: Uint8Array, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const path = this.pathOf(name);
    await this.publish(path, objectFrames.frameOf([bytes]), bytes, (aside) => rename(aside, path));
  }

  async get(name: string, signal?: AbortSignal): Promise<Uint8Array> {
    signal?.throwIfAborted();
    const value = await this.read(this.pathOf(name));
    if (value === undefined) throw this.missing(name);
    return value;
  }

  async getInto(name: string, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if ((await this.read(this.pathOf(name), (header) => (checkRoom(header, into, name), into))) === undefined) throw this.missing(name);
  }

  async head(name: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    signal?.throwIfAborted();
    const header = await this.header(this.pathOf(name));
    return header && { name, sha256: header.digest, bytes: header.bytes };
  }

  async list(prefix: string, signal?: AbortSignal): Promise<string[]> {
    checkPrefix(prefix);
    const found: string[] = [];
    const folders = [join(this.root, folderOf(prefix))];
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      signal?.throwIfAborted();
      for (const entry of await this.entries(folder)) {
        const path = join(folder, entry.name);
        const name = relative(this.root, path);
        if (entry.isDirectory()) {
          if (name !== asideFolder && (`${name}/`.startsWith(prefix) || prefix.startsWith(`${name}/`))) folders.push(path);
        } else if (entry.isFile() && name.startsWith(prefix)) found.push(name);
      }
    }
    if (found.length === 0) await this.checkRoot();
    return found;
  }

  async delete(names: readonly string[], signal?: AbortSignal): Promise<void> {
    const paths = names.map((name) => this.pathOf(name));
    for (let i = 0; i < paths.length; i += deletesAtOnce) {
      signal?.throwIfAborted();
      await Promise.all(paths.slice(i, i + deletesAtOnce).map((path) => removeFile(path)));
    }
    for (const folder of new Set(paths.map(dirname))) await this.removeEmpty(folder);
  }

  /** Removes what writers that died have left unfinished. A writer that is only slow writes its file again. */
  async sweepStale(olderThanMs: number): Promise<void> {
    const folder = join(this.root, asideFolder);
    const borderMs = Date.now() - olderThanMs;
    for (const entry of await this.entries(folder)) {
      const path = join(folder, entry.name);
      const info = await stat(path).catch(() => undefined);
      // A reader without the right to delete may open the store too; the sweep is then left to a writer.
      if (info !== undefined && info.mtimeMs < borderMs) await unlink(path).catch(() => undefined);
    }
  }

  private pathOf(name: string): string {
    checkObjectName(name);
    if (name === asideFolder || name.startsWith(`${asideFolder}/`))
      throw new SmltError('InvalidName', `object name ${JSON.stringify(name)}: '${asideFolder}' is kept for unfinished writes`);
    return join(this.root, name);
  }

  /** True when this call made the object, false when one was there. */
  private async putIfAbsent(path: string, frame: Frame, bytes: Uint8Array): Promise<boolean> {
    let made = true;
    await this.publish(path, frame, bytes, async (aside) => {
      try {
        await link(aside, path);
      } catch (error) {
        // EEXIST is also what a folder under this name gives: that is no object, and reading it would say absent for ever.
        if (!failedWith(error, 'EEXIST') || (await stat(path).catch(() => undefined))?.isDirectory() === true) throw error;
        made = false;
      } finally {
        await removeFile(aside);
      }
    });
    return made;
  }

  private async publish(path: string, frame: Frame, bytes: Uint8Array, place: (aside: string) => Promise<void>): Promise<void> {
    const aside = join(this.root, asideFolder, `${process.pid}-${randomUUID()}`);
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          await writeSynced(aside, frame.header, bytes);
          await place(aside);
          break;
        } catch (error) {
          if (!failedWith(error, 'ENOENT') || attempt === folderRetries) throw error;
          await this.checkRoot();
          await makeFolder(dirname(aside));
          await makeFolder(dirname(path));
        }
      }
      await syncFolder(dirname(path));
    } catch (error) {
      await unlink(aside).catch(() => undefined);
      throw fileFault(error, path, bytes.byteLength + objectFrames.headerBytes);
    }
  }

  private async header(path: string): Promise<FrameHeader | undefined> {
    return this.withFile(path, async (file) => (await readHeader(file, path)).header);
  }

  private missing(name: string): SmltError {
    return new SmltError('ObjectMissing', `${name}: nothing is stored under this name in ${this.uri}`);
  }

  /** @param room  where the value goes: left out, into bytes of its own */
  private async read(path: string, room: (header: FrameHeader) => Uint8Array = ({ bytes }) => new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer)) {
    return this.withFile(path, async (file) => {
      const { header } = await readHeader(file, path);
      return objectFrames.checkValue(await readFully(file, room(header), objectFrames.headerBytes), header, path);
    });
  }

  /** Undefined when there is no such object. */
  private async withFile<T>(path: string, use: (file: FileHandle) => Promise<T>): Promise<T | undefined> {
    let file: FileHandle;
    try {
      file = await open(path, constants.O_RDONLY);
    } catch (error) {
      if (!isAbsent(error)) throw fileFault(error, path);
      await this.checkRoot();
      return undefined;
    }
    try {
      return await use(file);
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw fileFault(error, path);
    } finally {
      await file.close();
    }
  }

  /** A store whose disk is not mounted has lost nothing: say so instead of calling every object missing. */
  private async checkRoot(): Promise<void> {
    if ((await stat(this.root).catch(() => undefined)) === undefined)
      throw new SmltError('StoreUnavailable', `${this.root}: the object store's folder is gone or cannot be reached; mount or restore it`);
  }

  private async entries(folder: string) {
    try {
      return await readdir(folder, { withFileTypes: true });
    } catch (error) {
      if (isAbsent(error)) return [];
      throw fileFault(error, folder);
    }
  }

  private async removeEmpty(folder: string): Promise<void> {
    for (let empty = folder; empty !== this.root; empty = dirname(empty)) {
      try {
        await rmdir(empty);
      } catch (error) {
        if (failedWith(error, 'ENOENT')) continue; // another sweeper was here; its parent may still be ours to remove
        return;
      }
    }
  }
}

async function writeSynced(path: string, header: Uint8Array, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.writeFile(header);
    await file.writeFile(bytes);
    await file.datasync();
  } finally {
    await file.close();
  }
}

async function readHeader(file: FileHandle, path: string): Promise<{ header: FrameHeader }> {
  const { size } = await file.stat();
  const bytes = await readFully(file, new Uint8Array(Math.min(size, objectFrames.headerBytes)), 0);
  return { header: objectFrames.parseHeader(bytes, size, path) };
}

/** Fills the buffer from a position; shorter when the file ends. */
async function readFully(file: FileHandle, into: Uint8Array, position: number): Promise<Uint8Array> {
  let filled = 0;
  while (filled < into.byteLength) {
    const { bytesRead } = await file.read(into, filled, into.byteLength - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled === into.byteLength ? into : into.subarray(0, filled);
}

async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isAbsent(error)) throw fileFault(error, path);
  }
}

/** Makes a folder and puts its name on the disk, so that what is linked into it is found again after a power cut. */
async function makeFolder(folder: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      const first = await mkdir(folder, { recursive: true });
      if (first !== undefined) for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made));
      return;
    } catch (error) {
      if (!failedWith(error, 'ENOENT') || attempt === folderRetries) throw error;
    }
  }
}

async function syncFolder(folder: string): Promise<void> {
  let handle: FileHandle;
  try {
    handle = await open(folder, constants.O_RDONLY);
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return; // already swept with what was in it
    throw error;
  }
  try {
    await handle.sync();
  } catch (error) {
    if (!failedWith(error, 'EINVAL', 'EISDIR', 'EPERM')) throw error; // some file systems cannot sync a folder
  } finally {
    await handle.close();
  }
}
