import { setTimeout as sleep } from 'node:timers/promises';
import type { SmltError } from '../../contracts/errors';
import type { ChargedRequests } from '../charged-requests';
import { noTraffic, type Exchange, type ExchangeTraffic, type Taker, type Taking, type WaitOptions } from '../exchange';
import { checkRoom, exchangeFrames } from '../frame';
import { putOnce } from '../once';
import { checkPrefix } from '../prefix';
import { allThrough } from '../several';
import type { S3Settings } from './s3-client';
import { isMissing, isTaken } from './s3-faults';
import type { S3Call } from './s3-http';
import { groupsOf, groupsOfLook, pauseAfterMs, type LookGroup } from './s3-looking';
import { S3Reader } from './s3-reader';
import { S3Requests, type Looking } from './s3-requests';
import { S3Taking } from './s3-taking';
import { parseS3Uri } from './s3-uri';

/** How long a store that is away may stay away: while one opens it, and later. */
const openPatienceMs = 2_000;
const patienceMs = 10_000;
/** S3 keeps times in whole seconds. */
const clockMs = 1_000;
const { headerBytes } = exchangeFrames;

export interface S3ExchangeSettings extends S3Settings {
  readonly patienceMs?: number;
}

/**
 * Values in a bucket of S3, or of a server that speaks its API. An object's key is the value's inbox path (inbox-paths.ts),
 * so that one list call answers for all that one reader waits for.
 * 1. Put-if-absent is S3's own: `If-None-Match: *`. It decides who was first; reads are strongly consistent with it.
 * 2. Large values are read by several ranges at the same time, straight into their reader's memory, and checked as one.
 * 3. S3 tells nobody of an arrival: whoever waits looks again, at pauses that bound what a wait may cost (s3-looking.ts).
 * 4. What is cut or changed is deleted by whoever finds it, and counts as absent.
 * 5. `charged` counts what S3 charges for, attempts that failed included; deleting is free.
 */
export class S3Exchange implements Exchange {
  readonly traffic: ExchangeTraffic = noTraffic();
  readonly charged: ChargedRequests;
  /** A look costs money, and an answer takes as long as from 10 to 30 ms. */
  readonly glanceMs = 100;
  private readonly requests: S3Requests;
  private readonly reader: S3Reader;

  private constructor(
    readonly uri: string,
    settings: S3ExchangeSettings,
  ) {
    const { patienceMs: patience = patienceMs, ...rest } = settings;
    this.requests = new S3Requests(parseS3Uri(uri), rest, patience);
    this.reader = new S3Reader(this.requests, this.traffic);
    this.charged = this.requests.charged;
  }

  /** @throws {SmltError} `StoreUnavailable` when no server answers, `StoreDenied` when it refuses or has no such bucket */
  static async open(uri: string, settings: S3ExchangeSettings = {}): Promise<S3Exchange> {
    const exchange = new S3Exchange(uri, settings);
    try {
      await exchange.requests.open(openPatienceMs);
    } catch (error) {
      await exchange.close();
      throw error;
    }
    return exchange;
  }

  async putValue(name: string, parts: readonly Uint8Array[], signal?: AbortSignal): Promise<void> {
    const key = this.requests.keyOf(name);
    const frame = exchangeFrames.frameOf(parts);
    this.traffic.requests++;
    this.traffic.puts++;
    const call: S3Call = { method: 'PUT', key, headers: { 'if-none-match': '*' }, body: [frame.header, ...parts], signal };
    const put = async () => (await this.requests.ask(`writing ${name}`, call, { expected: isTaken })) !== undefined;
    if (await putOnce(name, frame, put, () => this.reader.header(name, { signal }))) this.traffic.bytesWritten += headerBytes + frame.bytes;
  }

  async get(name: string, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    let value: Uint8Array | undefined;
    this.traffic.requests++;
    this.traffic.gets++;
    const room = (bytes: number) => (value = new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer));
    return (await this.reader.read(name, room, { signal })) && value;
  }

  async getInto(name: string, into: Uint8Array, signal?: AbortSignal): Promise<boolean> {
    this.traffic.requests++;
    this.traffic.gets++;
    const stored = await this.reader.read(name, (bytes) => (bytes === into.byteLength ? into : undefined), { signal });
    if (stored) checkRoom(stored, into, name);
    return stored !== undefined;
  }

  async present(names: readonly string[], signal?: AbortSignal): Promise<boolean[]> {
    this.traffic.requests++;
    const there = new Set<string>();
    await this.look(groupsOf(names), (name) => there.add(name), { signal });
    return names.map((name) => there.has(name));
  }

  async waitFor(names: readonly string[], { timeoutMs, signal }: WaitOptions, onArrival?: (name: string) => void): Promise<string[]> {
    signal?.throwIfAborted();
    this.traffic.requests++;
    const missing = new Set(names);
    const startMs = performance.now();
    let newsAtMs = startMs;
    let over = false;
    const found = (name: string) => {
      if (over || !missing.delete(name)) return;
      newsAtMs = performance.now();
      onArrival?.(name);
    };
    try {
      for (let looks = 0; ; looks++) {
        // The first look is always finished, so that even the shortest wait makes progress; later ones end with the wait.
        const leftMs = looks === 0 ? undefined : Math.max(1, startMs + timeoutMs - performance.now());
        try {
          await noLongerThan(leftMs, signal, this.look(groupsOfLook(looks, [...missing]), found, { patienceMs: 0 }));
        } catch (error) {
          signal?.throwIfAborted();
          // A server that is away has no news; whoever waits looks again until time is up.
          if ((error as Partial<SmltError>).code !== 'StoreUnavailable') throw error;
        }
        const nowMs = performance.now();
        const restMs = startMs + timeoutMs - nowMs;
        if (missing.size === 0 || restMs <= 0) return [...missing];
        await sleep(Math.min(pauseAfterMs(nowMs - newsAtMs), restMs), undefined, signal && { signal }).catch(() => signal?.throwIfAborted());
      }
    } finally {
      over = true;
    }
  }

  take(taker: Taker): Taking {
    return new S3Taking({ requests: this.requests, reader: this.reader, traffic: this.traffic, glanceMs: this.glanceMs }, taker);
  }

  async delete(names: readonly string[], signal?: AbortSignal): Promise<void> {
    this.traffic.requests++;
    await this.requests.delete(names, signal);
  }

  async list(prefix: string, signal?: AbortSignal): Promise<string[]> {
    checkPrefix(prefix);
    this.traffic.requests++;
    // Names with a step in them leave the path of their segments at `steps`.
    const whole = prefix.split('/').slice(0, -1);
    const cut = whole.indexOf('steps');
    const start = (cut < 0 ? whole : whole.slice(0, cut)).map((segment) => `${segment}/`).join('');
    const found: string[] = [];
    for await (const { name } of this.requests.pages(start, { signal })) if (name.startsWith(prefix)) found.push(name);
    return found;
  }

  async expire(olderThanMs: number): Promise<void> {
    const old: string[] = [];
    // Both times are the server's own.
    for await (const { name, modifiedMs, nowMs } of this.requests.pages('')) if (nowMs - modifiedMs > olderThanMs + clockMs) old.push(name);
    await this.requests.delete(old);
  }

  async close(): Promise<void> {
    this.requests.close();
  }

  /** Tells once of each name that is there: folders of many names by a list call, the others one by one. */
  private async look(groups: readonly LookGroup[], found: (name: string) => void, looking: Looking): Promise<void> {
    const { signal, patienceMs: patience } = looking;
    const one = async (name: string) => {
      const head: S3Call = { method: 'HEAD', key: this.requests.keyOf(name), signal };
      // An empty object has no header: nobody's value.
      const answer = await this.requests.ask(`looking for ${name}`, head, { patienceMs: patience, expected: isMissing });
      if (answer !== undefined) found(name);
    };
    const several = async ({ keyPrefix, names }: LookGroup) => {
      if (keyPrefix === undefined) return void (await allThrough(names.map(one)));
      for await (const { name } of this.requests.pages(keyPrefix, looking)) if (names.includes(name)) found(name);
    };
    await allThrough(groups.map(several));
  }
}

/**
 * Waits for a look no longer than its caller does. The look itself goes on: breaking off a request costs its connection,
 * and the next one's costs more than its answer. Rejects with the signal's reason.
 */
function noLongerThan(leftMs: number | undefined, signal: AbortSignal | undefined, look: Promise<unknown>): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = leftMs === undefined ? undefined : setTimeout(resolve, leftMs);
    const onAbort = () => reject(signal!.reason as Error);
    signal?.addEventListener('abort', onAbort, { once: true });
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    look.then(() => resolve(), reject).finally(end);
  });
}
