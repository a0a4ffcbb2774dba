import { checkObjectName } from '../contracts/names';

/** A prefix is the beginning of a name: empty, or anything that a name could begin with. @throws {SmltError} `InvalidName` */
export function checkPrefix(prefix: string): string {
  if (prefix !== '') checkObjectName(prefix.endsWith('/') ? prefix.slice(0, -1) : prefix);
  return prefix;
}

/** The folder that holds everything under a prefix: all its whole segments. */
export function folderOf(prefix: string): string {
  return prefix.slice(0, prefix.lastIndexOf('/') + 1);
}
