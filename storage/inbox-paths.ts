import { join, sep } from 'node:path';
import { checkObjectName } from '../contracts/names';

/**
 * Where a value lies in a file exchange. A watch wakes for every file of its folder, so values that one reader waits for
 * share a folder, its inbox, and no other reader's values are in it:
 *   <head>/steps/<s>/partials/<node>/<range>   ->  <head>/inbox partials <range>/<s> <node>   what one owner waits for
 *   <head>/steps/<s>/<kind>/<last>             ->  <head>/inbox <kind>/<s> <last>             what every worker waits for
 *   <head>/<last>                              ->  <head>/value <last>
 * Names hold no spaces, so every path is one name's only, and folders of names never meet files.
 */
export interface InboxPath {
  /** Below the exchange's root; '' is the root itself. */
  readonly folder: string;
  readonly file: string;
}

const ofStep = /^(.+)\/steps\/(0|[1-9][0-9]*)\/(.+)$/;

/** @throws {SmltError} `InvalidName` */
export function pathOfName(name: string): InboxPath {
  const [, head, step, tail] = ofStep.exec(checkObjectName(name)) ?? [];
  if (head === undefined || tail === undefined) {
    const cut = name.lastIndexOf('/');
    return { folder: name.slice(0, Math.max(0, cut)), file: `value ${name.slice(cut + 1)}` };
  }
  const segments = tail.split('/');
  const [kind = '', node = '', range] = segments;
  if (kind === 'partials' && segments.length === 3) return { folder: `${head}/inbox ${kind} ${range}`, file: `${step} ${node}` };
  return { folder: [`${head}/inbox`, ...segments.slice(0, -1)].join(' '), file: `${step} ${segments.at(-1)}` };
}

/** The name of a file found under the root; undefined when no value lies there. */
export function nameOfPath({ folder, file }: InboxPath): string | undefined {
  const parent = sep === '/' ? folder : folder.replaceAll(sep, '/');
  const cut = parent.lastIndexOf('/');
  const [box, ...kinds] = parent.slice(cut + 1).split(' ');
  const [first, last, ...more] = file.split(' ');
  if (first === undefined || last === undefined || more.length > 0) return undefined;
  let name: string;
  if (box !== 'inbox' || (kinds.length === 0 && first === 'value')) name = parent === '' ? last : `${parent}/${last}`;
  else {
    const step = `${parent.slice(0, cut)}/steps/${first}`;
    const [kind, range] = kinds;
    name = kind === 'partials' && range !== undefined && kinds.length === 2 ? `${step}/${kind}/${last}/${range}` : [step, ...kinds, last].join('/');
  }
  return isPathOf(name, parent, file) ? name : undefined;
}

/** Whatever else lies about in the folders must not be taken for a value. */
function isPathOf(name: string, folder: string, file: string): boolean {
  try {
    const path = pathOfName(name);
    return path.folder === folder && path.file === file;
  } catch {
    return false;
  }
}

export function fullPath(root: string, { folder, file }: InboxPath): string {
  return join(root, folder, file);
}
