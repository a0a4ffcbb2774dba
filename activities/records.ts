import type { z } from 'zod';
import { canonicalJson } from '../contracts/canonical-json';
import { SmltError } from '../contracts/errors';
import type { ObjectStore } from '../storage/object-store';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** JSON with sorted keys: equal values have equal bytes, so that a retry finds its own record. */
export function encodeRecord(value: unknown): Uint8Array {
  return encoder.encode(canonicalJson(value));
}

export function decodeRecord<S extends z.ZodType>(schema: S, bytes: Uint8Array, name: string): z.output<S> {
  const parsed = schema.safeParse(JSON.parse(decoder.decode(bytes)));
  if (!parsed.success) throw new SmltError('ObjectCorrupt', `${name} was written by another version of smlt, or is damaged: ${parsed.error.message}`);
  return parsed.data;
}

export async function readRecord<S extends z.ZodType>(store: ObjectStore, schema: S, name: string): Promise<z.output<S>> {
  return decodeRecord(schema, await store.get(name), name);
}

/** The record, or undefined when it was never written. */
export async function findRecord<S extends z.ZodType>(store: ObjectStore, schema: S, name: string): Promise<z.output<S> | undefined> {
  try {
    return await readRecord(store, schema, name);
  } catch (error) {
    if (error instanceof SmltError && error.code === 'ObjectMissing') return undefined;
    throw error;
  }
}
