import { statfsSync } from 'node:fs';
import { SmltError } from '../../contracts/errors';

/** The code of a failed system call. Read by shape: errors may come from another realm, where `instanceof` is false. */
function codeOf(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** True when a system call failed with one of these codes. */
export function failedWith(error: unknown, ...codes: readonly string[]): boolean {
  const code = codeOf(error);
  return code !== undefined && codes.includes(code);
}

/** Nothing is stored at this path: it, or a folder above it, is not there, or an object is where a folder would have to be. */
export function isAbsent(error: unknown): boolean {
  return failedWith(error, 'ENOENT', 'ENOTDIR', 'EISDIR');
}

/** Turns what the file system said into smlt's words: what failed, where, and what to do. */
export function fileFault(error: unknown, path: string, neededBytes?: number): unknown {
  const code = codeOf(error);
  if (error instanceof SmltError || code === undefined) return error;
  const cause = { cause: error };
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new SmltError('StoreFull', `${path}: no space left${spaceOf(path, neededBytes)}; free some there, or choose another folder`, cause);
    case 'EACCES':
    case 'EPERM':
      return new SmltError('StoreDenied', `${path}: permission denied for user ${userOf()}; give that user read and write access there`, cause);
    case 'EROFS':
      return new SmltError('StoreDenied', `${path}: the file system is read-only; mount it writable, or choose another folder`, cause);
    case 'EMLINK':
    case 'ENOTSUP':
    case 'ENOSYS':
    case 'EXDEV':
      return new SmltError(
        'StoreDenied',
        `${path}: the file system has no hard links, which put-if-absent needs; choose a folder on another one`,
        cause,
      );
    case 'ENOTDIR':
    case 'EISDIR':
    case 'EEXIST':
    case 'ENOTEMPTY':
      return new SmltError(
        'InvalidName',
        `${path}: another object's name is the beginning of this one, or the reverse; expected distinct folders`,
        cause,
      );
    case 'ENAMETOOLONG':
      return new SmltError('InvalidName', `${path}: a part of the name is longer than the file system allows (mostly 255 bytes)`, cause);
    default:
      return new SmltError('StoreUnavailable', `${path}: ${(error as Error).message}`, cause);
  }
}

function userOf(): string {
  return String(process.getuid?.() ?? process.env['USERNAME'] ?? 'this user');
}

function spaceOf(path: string, neededBytes?: number): string {
  const needed = neededBytes === undefined ? '' : `, ${neededBytes} bytes were needed`;
  for (let folder = path; ; folder = folder.slice(0, folder.lastIndexOf('/'))) {
    try {
      const { bavail, bsize } = statfsSync(folder === '' ? '/' : folder);
      return `${needed}, ${bavail * bsize} are free`;
    } catch {
      if (!folder.includes('/')) return needed;
    }
  }
}
