import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { SmltError } from '../../contracts/errors';
import { ChargedRequests } from '../charged-requests';
import { noTraffic, type Exchange, type ExchangeTraffic, type WaitOptions } from '../exchange';
import { checkRoom, exchangeFrames, type FrameHeader } from '../frame';
import { nameOfPath, pathOfName } from '../inbox-paths';
import { checkPrefix } from '../prefix';
import type { S3Settings } from './s3-client';
import { isMissing, isPassing, isTaken, s3Fault, statusOf } from './s3-faults';
import { escapeXml, inTag, S3Http, type S3Answer, type S3Call } from './s3-http';
import { groupsOf, groupsOfLook, pauseAfterMs, type LookGroup } from './s3-looking';
import { parseS3Uri, type S3Location } from './s3-uri';

/** Read at once by one request: larger values come in so many parallel ones. Source: AWS's advice is 8 to 16 MiB. */
const rangeBytes = 8 * 2 ** 20;
/** S3 takes this many names in one DeleteObjects. */
const deleteBatch = 1_000;
/** How long a store that is away may stay away: while one opens it, and later. */
const openPatienceMs = 2_000;
const patienceMs = 10_000;
const pauseMs = { first: 20, longest: 1_000 };
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
  readonly charged = new ChargedRequests();
  /** A look costs money, and an answer takes as long as from 10 to 30 ms. */
  readonly glanceMs = 100;
  private readonly location: S3Location;
  private readonly http: S3Http;
  private readonly patienceMs: number;

  private constructor(
    readonly uri: string,
    settings: S3ExchangeSettings,
  ) {
    const { patienceMs: patience = patienceMs, ...rest } = settings;
    this.location = parseS3Uri(uri);
    this.http = new S3Http(this.location, rest);
    this.patienceMs = patience;
  }

  /** @throws {SmltError} `StoreUnavailable` when no server answers, `StoreDenied` when it refuses or has no such bucket */
  static async open(uri: string, settings: S3ExchangeSettings = {}): Promise<S3Exchange> {
    const exchange = new S3Exchange(uri, settings);
    try {
      const query = { 'list-type': '2', 'max-keys': '1', prefix: exchange.location.prefix };
      await exchange.ask('opening the exchange', { method: 'GET', query }, { patienceMs: openPatienceMs });
    } catch (error) {
      await exchange.close();
      throw error;
    }
    return exchange;
  }

  async putValue(name: string, parts: readonly Uint8Array[], signal?: AbortSignal): Promise<void> {
    const key = this.keyOf(name);
    const frame = exchangeFrames.frameOf(parts);
    this.traffic.requests++;
    this.traffic.puts++;
    for (;;) {
      const call: S3Call = { method: 'PUT', key, headers: { 'if-none-match': '*' }, body: [frame.header, ...parts], signal };
      if ((await this.ask(`writing ${name}`, call, { expected: isTaken })) !== undefined) {
        this.traffic.bytesWritten += headerBytes + frame.bytes;
        return;
      }
      const stored = await this.storedHeader(name, signal);
      if (stored === undefined) continue; // it was corrupt, or deleted in between: ours to write again
      if (stored.digest !== frame.digest) throw exchangeFrames.notDeterministic(name, stored, frame);
      return;
    }
  }

  async get(name: string, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    return this.read(name, undefined, signal);
  }

  async getInto(name: string, into: Uint8Array, signal?: AbortSignal): Promise<boolean> {
    return (await this.read(name, into, signal)) !== undefined;
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

  async delete(names: readonly string[], signal?: AbortSignal): Promise<void> {
    const keys = names.map((name) => this.keyOf(name));
    this.traffic.requests++;
    const batches = Array.from({ length: Math.ceil(keys.length / deleteBatch) }, (_, i) => keys.slice(i * deleteBatch, (i + 1) * deleteBatch));
    await Promise.all(batches.map((batch) => this.deleteKeys(batch, signal)));
  }

  async list(prefix: string, signal?: AbortSignal): Promise<string[]> {
    checkPrefix(prefix);
    this.traffic.requests++;
    // Names with a step in them leave the path of their segments at `steps`.
    const whole = prefix.split('/').slice(0, -1);
    const cut = whole.indexOf('steps');
    const start = (cut < 0 ? whole : whole.slice(0, cut)).map((segment) => `${segment}/`).join('');
    const found: string[] = [];
    for await (const { name } of this.pages(start, { signal })) if (name.startsWith(prefix)) found.push(name);
    return found;
  }

  async expire(olderThanMs: number): Promise<void> {
    const old: string[] = [];
    // Both times are the server's own.
    for await (const { name, modifiedMs, nowMs } of this.pages('')) if (nowMs - modifiedMs > olderThanMs + clockMs) old.push(name);
    if (old.length > 0) await this.delete(old);
  }

  async close(): Promise<void> {
    this.http.close();
  }

  private keyOf(name: string): string {
    const { folder, file } = pathOfName(name);
    return `${this.location.prefix}${folder === '' ? '' : `${folder}/`}${file}`;
  }

  /** Tells once of each name that is there: folders of many names by a list call, the others one by one. */
  private async look(
    groups: readonly LookGroup[],
    found: (name: string) => void,
    options: { signal?: AbortSignal | undefined; patienceMs?: number },
  ): Promise<void> {
    const { signal, ...patience } = options;
    const one = async (name: string) => {
      const head: S3Call = { method: 'HEAD', key: this.keyOf(name), signal };
      // An empty object has no header: nobody's value.
      const answer = await this.ask(`looking for ${name}`, head, { ...patience, expected: isMissing });
      if (answer !== undefined) found(name);
    };
    await allSettled(
      groups.map(async ({ keyPrefix, names }) => {
        if (keyPrefix === undefined) return allSettled(names.map(one));
        for await (const { name } of this.pages(keyPrefix, options)) if (names.includes(name)) found(name);
        return [];
      }),
    );
  }

  /** All values whose keys begin so, a thousand a request. */
  private async *pages(
    keyPrefix: string,
    { signal, ...patience }: { signal?: AbortSignal | undefined; patienceMs?: number } = {},
  ): AsyncGenerator<{ name: string; modifiedMs: number; nowMs: number }> {
    const own = this.location.prefix;
    for (let next: string | undefined = ''; next !== undefined;) {
      const query: Record<string, string> = { 'list-type': '2', prefix: own + keyPrefix, ...(next === '' ? {} : { 'continuation-token': next }) };
      const { words, headers }: S3Answer = (await this.ask('listing values', { method: 'GET', query, signal }, patience))!;
      const nowMs = Date.parse(headers.date ?? '') || Date.now();
      for (const [, entry = ''] of words.matchAll(/<Contents>(.*?)<\/Contents>/gs)) {
        const name = nameOfKey((inTag(entry, 'Key') ?? '').slice(own.length));
        if (name !== undefined) yield { name, modifiedMs: Date.parse(inTag(entry, 'LastModified') ?? '') || nowMs, nowMs };
      }
      next = inTag(words, 'IsTruncated') === 'true' ? inTag(words, 'NextContinuationToken') : undefined;
    }
  }

  private async deleteKeys(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    if (keys.length === 1) return void (await this.ask('deleting a value', { method: 'DELETE', key: keys[0]!, signal }, { expected: isMissing }));
    const objects = keys.map((key) => `<Object><Key>${escapeXml(key)}</Key></Object>`).join('');
    const body = Buffer.from(`<?xml version="1.0" encoding="UTF-8"?><Delete><Quiet>true</Quiet>${objects}</Delete>`);
    // The one request that S3 wants a checksum of.
    const checksum = Buffer.alloc(4);
    checksum.writeUInt32BE(crc32(body));
    const headers = { 'x-amz-checksum-crc32': checksum.toString('base64') };
    const what = `deleting ${keys.length} values`;
    const { words } = (await this.ask(what, { method: 'POST', query: { delete: '' }, headers, body: [body], signal }))!;
    for (const [, entry = ''] of words.matchAll(/<Error>(.*?)<\/Error>/gs)) {
      const name = inTag(entry, 'Code') ?? 'DeleteFailed';
      if (name === 'NoSuchKey') continue;
      const failed = { name, message: inTag(entry, 'Message') ?? '', $metadata: { httpStatusCode: name === 'AccessDenied' ? 403 : 500 } };
      throw s3Fault(failed, what, { bucket: this.location.bucket, endpoint: this.http.where });
    }
  }

  /** Reads a value where it is to go, or into bytes of its own. */
  private async read(name: string, into: Uint8Array | undefined, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
    const key = this.keyOf(name);
    this.traffic.requests++;
    this.traffic.gets++;
    return this.orAbsent(name, async () => {
      const header = Buffer.alloc(headerBytes);
      let value = into;
      const first = this.range(name, key, [0, headerBytes + rangeBytes], signal, (bytes, total) => {
        const fits = total >= headerBytes && (into === undefined || into.byteLength === total - headerBytes);
        if (!fits) return [header.subarray(0, Math.min(bytes, headerBytes)), new Uint8Array(Math.max(0, bytes - headerBytes))];
        value ??= new Uint8Array(Buffer.allocUnsafeSlow(total - headerBytes).buffer);
        return [header, value.subarray(0, bytes - headerBytes)];
      });
      // A reader that knows the length need not wait for the first range to ask for the others.
      const known = into === undefined ? undefined : this.rest(name, key, into, signal);
      const [total, early] = await allSettled([first, known]);
      if (total === undefined) return undefined;
      const stored = exchangeFrames.parseHeader(header.subarray(0, Math.min(total, headerBytes)), total, name);
      if (into !== undefined) checkRoom(stored, into, name);
      const whole = early ?? (await this.rest(name, key, value!, signal));
      if (!whole) return undefined;
      exchangeFrames.checkValue(value!, stored, name);
      this.traffic.bytesRead += headerBytes + stored.bytes;
      return value;
    });
  }

  /** Everything behind the first range. False when it is not there any more. */
  private async rest(name: string, key: string, value: Uint8Array, signal: AbortSignal | undefined): Promise<boolean> {
    const starts: number[] = [];
    for (let start = rangeBytes; start < value.byteLength; start += rangeBytes) starts.push(start);
    const read = await allSettled(
      starts.map((start) => {
        const part = value.subarray(start, start + rangeBytes);
        const span: [number, number] = [headerBytes + start, headerBytes + start + part.byteLength];
        // A part of another length cannot be the right one: it is read past the value, which then fails its check.
        return this.range(name, key, span, signal, (bytes) => [bytes === part.byteLength ? part : new Uint8Array(bytes)]);
      }),
    );
    return read.every((total) => total !== undefined);
  }

  /** Reads bytes [start, end) of an object; answers how many it has, undefined when there is none, or none so far. */
  private async range(
    name: string,
    key: string,
    [start, end]: readonly [number, number],
    signal: AbortSignal | undefined,
    room: (bytes: number, total: number) => readonly Uint8Array[],
  ): Promise<number | undefined> {
    let total = 0;
    const into = ({ headers }: S3Answer, bytes: number) => {
      total = Number(/\/(\d+)$/.exec(headers['content-range'] ?? '')?.[1] ?? bytes);
      return room(bytes, total);
    };
    const headers = { range: `bytes=${start}-${end - 1}` };
    const answer = await this.ask(
      `reading ${name}`,
      { method: 'GET', key, headers, signal, room: into },
      { expected: (error) => isMissing(error) || isPast(error) },
    );
    if (answer !== undefined) return total;
    // An object without a single byte has no range: there, but no value.
    return start === 0 && (await this.ask(`looking at ${name}`, { method: 'HEAD', key, signal }, { expected: isMissing })) !== undefined
      ? 0
      : undefined;
  }

  private async storedHeader(name: string, signal: AbortSignal | undefined): Promise<FrameHeader | undefined> {
    return this.orAbsent(name, async () => {
      const header = Buffer.alloc(headerBytes);
      const total = await this.range(name, this.keyOf(name), [0, headerBytes], signal, (bytes) => [header.subarray(0, bytes)]);
      return total === undefined ? undefined : exchangeFrames.parseHeader(header.subarray(0, Math.min(total, headerBytes)), total, name);
    });
  }

  /** What is corrupt goes, and counts as absent: its publisher makes it again. */
  private async orAbsent<T>(name: string, look: () => Promise<T | undefined>): Promise<T | undefined> {
    try {
      return await look();
    } catch (error) {
      if (!(error instanceof SmltError) || error.code !== 'ObjectCorrupt') throw error;
      await this.deleteKeys([this.keyOf(name)]);
      return undefined;
    }
  }

  /** Sends a request, again and again while the server is away, until patience ends. Undefined for a refusal that is expected. */
  private async ask(
    doing: string,
    call: S3Call,
    options: { expected?: (error: unknown) => boolean; patienceMs?: number } = {},
  ): Promise<S3Answer | undefined> {
    const untilMs = performance.now() + (options.patienceMs ?? this.patienceMs);
    for (let pause = pauseMs.first; ; pause = Math.min(2 * pause, pauseMs.longest)) {
      this.charged.count(call.method, call.key === undefined);
      try {
        return await this.http.send(call);
      } catch (error) {
        call.signal?.throwIfAborted();
        if (options.expected?.(error) === true) return undefined;
        if (!isPassing(error) || performance.now() + pause > untilMs)
          throw s3Fault(error, doing, { bucket: this.location.bucket, endpoint: this.http.where });
      }
      // Many workers fail together: they must not come back together.
      await sleep(pause * (0.5 + Math.random() / 2), undefined, call.signal && { signal: call.signal });
    }
  }
}

/** The range begins behind the object's end. */
const isPast = (error: unknown) => statusOf(error) === 416;

function nameOfKey(key: string): string | undefined {
  const cut = key.lastIndexOf('/');
  return nameOfPath({ folder: key.slice(0, Math.max(0, cut)), file: key.slice(cut + 1) });
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

/** All results, once every request is through: until then an answer may still be written into its reader's memory. */
async function allSettled<T extends readonly unknown[]>(requests: T): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  const settled = await Promise.allSettled(requests);
  return settled.map((one) => {
    if (one.status === 'rejected') throw one.reason;
    return one.value;
  }) as { -readonly [K in keyof T]: Awaited<T[K]> };
}
