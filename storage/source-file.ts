import { readFile, realpath, stat } from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SmltError } from '../contracts/errors';
import { objectFrames } from './frame';
import type { ObjectStore } from './object-store';

/** A file that a job names, and what lies beside it. */
export interface SourceFile {
  /** @throws {SmltError} `InvalidModel` when it cannot be read, or has `limitBytes` or more */
  read(): Promise<Uint8Array>;
  /** A file in the same folder or below: `location` has no step out of it, and no link may have one. */
  readBeside(location: string): Promise<Uint8Array>;
}

/** Protobuf's own limit, and the largest file that Node reads in one piece. */
const LIMIT_BYTES = 2 ** 31;

/**
 * @param source  a path, a `file:` URI, or the URI of an object
 * @param open    opens the object store of a URI
 */
export function sourceFile(source: string, open: (uri: string) => Promise<ObjectStore>): SourceFile {
  const local = source.startsWith('file:') ? fileURLToPath(source) : source;
  return /^[a-z][a-z0-9+.-]+:/i.test(local) ? stored(source, open) : onDisk(local);
}

function stored(uri: string, open: (uri: string) => Promise<ObjectStore>): SourceFile {
  const cut = uri.lastIndexOf('/');
  const get = async (name: string) => {
    try {
      return await (await open(uri.slice(0, cut))).get(name);
    } catch (error) {
      throw new SmltError('InvalidModel', `${uri.slice(0, cut)}/${name}: ${(error as Error).message}`, { cause: error });
    }
  };
  return { read: () => get(uri.slice(cut + 1)), readBeside: get };
}

function onDisk(path: string): SourceFile {
  const folder = dirname(resolve(path));
  return {
    read: () => readWhole(path, path),
    async readBeside(location) {
      const beside = join(folder, location);
      const real = await realpath(beside).catch(() => beside);
      const root = await realpath(folder).catch(() => folder);
      if (real !== beside && !real.startsWith(root + sep))
        throw new SmltError(
          'InvalidModel',
          `${beside} is a link to ${real}, outside the model's folder; copy the file there if it belongs to the model`,
        );
      return readWhole(beside, `external data ${beside}`);
    },
  };
}

async function readWhole(path: string, what: string): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    const { size } = await stat(path);
    if (size >= LIMIT_BYTES)
      throw new SmltError('InvalidModel', `${what} has ${(size / 2 ** 30).toFixed(2)} GiB; expected less than 2 GiB; train a smaller model`);
    bytes = await readFile(path);
  } catch (error) {
    if (error instanceof SmltError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder; name a file in it' : (error as Error).message;
    throw new SmltError('InvalidModel', `${what}: ${why}`, { cause: error });
  }
  // An object of a store of files stands behind the store's frame.
  return Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(4, bytes.byteLength)).toString('latin1') === 'smlt'
    ? objectFrames.decode(bytes, path)
    : bytes;
}
