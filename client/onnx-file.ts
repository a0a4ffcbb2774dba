import { readFile, realpath, stat } from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SmltError } from '../contracts/errors';
import { openObjectStore } from '../storage';
import { checkModelBytes, selfContained } from '../training/onnx/external-data';

/**
 * An ONNX model with what lies in files beside it, as one self-contained file.
 * @param source  a path, a `file:` URI, or the URI of an object
 * @throws {SmltError} `InvalidModel` when any of it cannot be read, leaves the model's folder, or is 2 GiB or more
 */
export async function readOnnx(source: string): Promise<Uint8Array> {
  const local = source.startsWith('file:') ? fileURLToPath(source) : source;
  if (/^[a-z][a-z0-9+.-]+:/i.test(local)) return fromStore(source);
  const folder = dirname(resolve(local));
  return selfContained(await readPart(local, local), (location) => readBeside(folder, location));
}

async function fromStore(uri: string): Promise<Uint8Array> {
  const cut = uri.lastIndexOf('/');
  const store = await openObjectStore(uri.slice(0, cut));
  const get = async (name: string) => {
    try {
      return await store.get(name);
    } catch (error) {
      throw new SmltError('InvalidModel', `${uri.slice(0, cut)}/${name}: ${(error as Error).message}`, { cause: error });
    }
  };
  return selfContained(await get(uri.slice(cut + 1)), get);
}

/** A link may not lead out of the model's folder either. */
async function readBeside(folder: string, location: string): Promise<Uint8Array> {
  const path = join(folder, location);
  const real = await realpath(path).catch(() => path);
  const root = await realpath(folder).catch(() => folder);
  if (real !== path && !real.startsWith(root + sep))
    throw new SmltError('InvalidModel', `${path} is a link to ${real}, outside the model's folder; copy the file there if it belongs to the model`);
  return readPart(path, `external data ${path}`);
}

async function readPart(path: string, what: string): Promise<Uint8Array> {
  try {
    checkModelBytes((await stat(path)).size);
    return await readFile(path);
  } catch (error) {
    if (error instanceof SmltError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder; name the .onnx file in it' : (error as Error).message;
    throw new SmltError('InvalidModel', `${what}: ${why}`, { cause: error });
  }
}
