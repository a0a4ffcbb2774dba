import { SmltError } from '../contracts/errors';
import { names } from '../contracts/names';
import { Program } from '../contracts/program';
import type { ObjectStore } from '../storage/object-store';
import { jsonOf } from './bytes';
import { cacheBytes, Lru } from './lru';

const programs = new Lru<Program>(8);
const graphs = new Lru<Uint8Array>(cacheBytes, (bytes) => bytes.byteLength);

export function readProgram(store: ObjectStore, digest: string): Promise<Program> {
  return programs.remember(`${store.uri} ${digest}`, async () => {
    const name = names.program(digest, 'program.json');
    const parsed = Program.safeParse(jsonOf(await store.get(name)));
    if (!parsed.success) throw new SmltError('VersionSkew', `${name} was written by another version of smlt: ${parsed.error.message}`);
    return parsed.data;
  });
}

/** A file of a program: named by the program's digest, so it never changes. */
export function readGraph(store: ObjectStore, name: string): Promise<Uint8Array> {
  return graphs.remember(`${store.uri} ${name}`, () => store.get(name));
}
