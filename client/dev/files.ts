import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { SmltError } from '../../contracts/errors';

/** Turns what a file system says into what a person can do about it. */
export function fileError(error: unknown, doing: string, path: string): SmltError {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new SmltError('StoreDenied', `cannot ${doing} ${path}: ${code === 'EROFS' ? 'the file system is read-only' : 'permission denied'}.\nSet SMLT_HOME to a folder that you may write to.`, { cause: error }); // prettier-ignore
    case 'ENOSPC':
    case 'EDQUOT':
      return new SmltError('StoreFull', `cannot ${doing} ${path}: the disk is full.\nFree some space, or set SMLT_HOME to a folder on another disk.`, { cause: error }); // prettier-ignore
    case 'ENOTDIR':
    case 'EEXIST':
      return new SmltError('StoreDenied', `cannot ${doing} ${path}: a file is in its place.\nMove it away, or set SMLT_HOME to another folder.`, { cause: error }); // prettier-ignore
    default:
      return new SmltError('StoreUnavailable', `cannot ${doing} ${path}: ${message}`, { cause: error });
  }
}

/** A folder that exists and takes a file, or a clear error now instead of a strange one later. */
export function writableFolder(path: string): void {
  const probe = `${path}/.smlt-probe-${process.pid}`;
  try {
    mkdirSync(path, { recursive: true });
    writeFileSync(probe, 'x');
    rmSync(probe);
  } catch (error) {
    throw fileError(error, 'write to', path);
  }
}

/** Readers see the old or the new document, whole. */
export function writeJson(path: string, value: unknown): void {
  const aside = `${path}.${process.pid}.new`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(aside, `${JSON.stringify(value, null, 2)}\n`);
    renameSync(aside, path);
  } catch (error) {
    throw fileError(error, 'write', path);
  }
}

/** The document, or undefined when it is not there or was left half-written by a power cut. */
export function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}
