import type { ChargedRequests } from './charged-requests';

export interface ObjectInfo {
  readonly name: string;
  /** SHA-256 of the value, hex; from metadata, without reading the value. */
  readonly sha256: string;
  readonly bytes: number;
}

/**
 * Durable bytes under names. What a caller gets back is its own copy; a `get` after a finished put sees the put; a
 * half-written object is never visible. Values carry format version, length and digest, checked on every read.
 */
export interface ObjectStore {
  readonly uri: string;
  /** Left out where requests cost nothing. */
  readonly charged?: ChargedRequests | undefined;
  /** Writes a value, or finds the same one there. @throws {SmltError} `NotDeterministic` when other bytes are stored. */
  putValue(name: string, bytes: Uint8Array, signal?: AbortSignal): Promise<void>;
  /** Settles a choice: the first writer wins, and everybody gets what is stored. */
  decide(name: string, bytes: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;
  /** Writes a record that changes over time: the last writer wins, readers see the old or the new one whole. */
  replace(name: string, bytes: Uint8Array, signal?: AbortSignal): Promise<void>;
  /** @throws {SmltError} `ObjectMissing` when nothing is stored under `name`; never for a permission or network fault. */
  get(name: string, signal?: AbortSignal): Promise<Uint8Array>;
  /**
   * Reads a value into the caller's bytes, which must have its length, and without a second copy of it in memory.
   * What they hold after an error is nobody's. @throws {SmltError} as `get` does
   */
  getInto(name: string, into: Uint8Array, signal?: AbortSignal): Promise<void>;
  /** What is known of an object without reading it; undefined when it is not there. */
  head(name: string, signal?: AbortSignal): Promise<ObjectInfo | undefined>;
  /** Names under a prefix, in no promised order. */
  list(prefix: string, signal?: AbortSignal): Promise<string[]>;
  /** Deletes by name; what is not there is no error. */
  delete(names: readonly string[], signal?: AbortSignal): Promise<void>;
}
