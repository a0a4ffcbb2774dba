import type { ChargedRequests } from './charged-requests';

export interface WaitOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** Counted in the exchange itself, so that what is billed and what docs/synchronisation.md promises can be compared. */
export interface ExchangeTraffic {
  /** As stored: value and header of every one that this side has written, or read. */
  bytesWritten: number;
  bytesRead: number;
  /** Calls of `putValue`, and of `get` and `getInto`, whether or not there was something to move. */
  puts: number;
  gets: number;
  /** Calls of any kind. */
  requests: number;
}

export const noTraffic = (): ExchangeTraffic => ({ bytesWritten: 0, bytesRead: 0, puts: 0, gets: 0, requests: 0 });

/** A value that somebody wants as soon as it is there. */
export interface Wanted {
  readonly name: string;
  /** Of the value. Left out: known when it comes. */
  readonly bytes?: number;
  /**
   * Where it goes: as many bytes as it has. Asked when they come, and again, for the same ones, when what came was no good.
   * Left out: that the value is there is enough.
   */
  readonly room?: (bytes: number) => Uint8Array;
}

/** Whoever takes values from an exchange. */
export interface Taker {
  /** The value is whole, and in its room. Once for each that is wanted. */
  taken(name: string): void;
  /** Was there, and cannot be read any more. Whether it is still wanted is the store's affair: it may come all the same. */
  gone(name: string): void;
  /** The store refuses, or a value can never be used. Nothing more comes. */
  failed(error: unknown): void;
}

/** One reader's values on their way, until it is stopped. Values are read as they come, whatever their reader does meanwhile. */
export interface Taking {
  want(values: readonly Wanted[]): void;
  /** One look at what is missing, where the store brings no news by itself. */
  glance(): void;
  /** Says that from now on somebody does nothing but wait, or no longer does: where looks cost, they are made for who waits. */
  attend(waits: boolean): void;
  /** When this resolves, nothing is written into anybody's room any more. */
  stop(): Promise<void>;
}

/**
 * The parameter store: low-latency and volatile; anything in it may vanish at any moment, which costs time, never bits.
 * Values are whole or absent, carry length and digest, and a corrupt one counts as absent (and is deleted by its finder).
 */
export interface Exchange {
  readonly uri: string;
  readonly traffic: ExchangeTraffic;
  /** Left out where requests cost nothing. */
  readonly charged?: ChargedRequests | undefined;
  /** Servers that the values are spread over, each with a bandwidth of its own. Left out: one. */
  readonly shards?: number | undefined;
  /** How far apart looks without waiting should be, where one costs money or time. Left out: as often as one likes. */
  readonly glanceMs?: number;
  /** Writes a value in parts (views are written without joining them), or finds it there. @throws {SmltError} `NotDeterministic` */
  putValue(name: string, parts: readonly Uint8Array[], signal?: AbortSignal): Promise<void>;
  /** The value, or undefined when it is not there (any more). */
  get(name: string, signal?: AbortSignal): Promise<Uint8Array | undefined>;
  /**
   * Reads a value into the caller's bytes, which must have its length: files and sockets write straight into them. False
   * when the value is not there (any more); what the bytes hold then is nobody's.
   */
  getInto(name: string, into: Uint8Array, signal?: AbortSignal): Promise<boolean>;
  /** Which of these names exist, in one request where the store can. */
  present(names: readonly string[], signal?: AbortSignal): Promise<boolean[]>;
  /** Waits until all names exist or time is up; calls `onArrival` once for each as it is seen. Returns those still missing. */
  waitFor(names: readonly string[], options: WaitOptions, onArrival?: (name: string) => void): Promise<string[]>;
  /** Reads values as they come, for as long as it is not stopped. @param lookMs  of those who wait, how long one wait in the store lasts at most */
  take(taker: Taker, lookMs: number): Taking;
  delete(names: readonly string[], signal?: AbortSignal): Promise<void>;
  list(prefix: string, signal?: AbortSignal): Promise<string[]>;
  /**
   * Removes what was written longer ago than this, and what writers that died have left: runs that were ended from outside
   * have nobody to clean up. Choose a time longer than a round and a function's limit.
   */
  expire(olderThanMs: number): Promise<void>;
  close(): Promise<void>;
}
