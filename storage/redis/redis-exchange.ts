import { setTimeout as sleep } from 'node:timers/promises';
import type { SmltError } from '../../contracts/errors';
import { noTraffic, type Exchange, type ExchangeTraffic, type Taker, type Taking, type WaitOptions } from '../exchange';
import { exchangeFrames, type FrameHeader } from '../frame';
import { absentIfCorrupt, putOnce } from '../once';
import { checkPrefix } from '../prefix';
import { cutViews } from '../views';
import { fullFault, isFull, isPassing, redisFault } from './redis-faults';
import { chunkBytes, chunkCount, headerOf } from './redis-format';
import { RedisKeys } from './redis-keys';
import { linkTimes, loginOf, RedisLink } from './redis-link';
import { readValue, type ReadPlan } from './redis-read';
import { RedisTaking } from './redis-taking';
import { parseRedisUri, type RedisLocation } from './redis-uri';
import { RedisNotices } from './redis-waiting';
import type { Redirect, RespArgument, RespConnection } from './resp-connection';
import { Window } from './window';

/** Longer than any round and a function's limit together: what nobody is left to delete goes by itself. */
const lifeMs = 2 * 60 * 60_000;
/** How long a store that is away may stay away: while one opens it, and later. */
const openPatienceMs = 2_000;
const patienceMs = 10_000;
const pauseMs = { first: 20, longest: 1_000 };
/** Of replies that are on their way at a time: a part is sent, one is made, one is asked for. */
const replyBytesAtOnce = 3 * chunkBytes;
const recheckMs = { first: 25, longest: 400 };
const { headerBytes } = exchangeFrames;

export interface RedisSettings {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly patienceMs?: number;
  /** Of a node of a cluster: what happens to commands that it does not answer itself. */
  readonly redirect?: Redirect;
}

/**
 * Values in Redis or Valkey.
 * 1. A value is there when its head is (redis-keys.ts), which is written last, by `SET NX`: that decides who was first.
 * 2. The data goes first, then the notice, in one pipeline. The notice is a hint; the key is the truth.
 * 3. What is cut, changed or lacks a part is deleted by whoever finds it, and counts as absent.
 * 4. Every key dies after two hours. Credentials come from the environment, never from the URI.
 * 5. Traffic is the bytes that were really stored or read, headers included, and one request a call.
 */
export class RedisExchange implements Exchange {
  readonly uri: string;
  readonly traffic: ExchangeTraffic = noTraffic();
  private readonly keys: RedisKeys;
  private readonly location: RedisLocation;
  private readonly patienceMs: number;
  /** Puts, gets and small questions each have a connection: a megabyte on its way must not hold up an answer. */
  private readonly writing: RedisLink;
  private readonly reading: RedisLink;
  private readonly asking: RedisLink;
  private readonly replies = new Window(replyBytesAtOnce);
  private readonly hearing: RedisLink;
  private readonly notices: RedisNotices;

  private constructor(uri: string, settings: RedisSettings) {
    this.location = parseRedisUri(uri);
    const { address, database, prefix } = this.location;
    this.uri = uri;
    this.keys = new RedisKeys(prefix, database);
    this.patienceMs = settings.patienceMs ?? patienceMs;
    const { redirect } = settings;
    const login = loginOf(settings, database);
    const link = (onMessage?: (channel: string, message: string) => void) =>
      new RedisLink({ ...address, ...linkTimes, ...(onMessage && { onMessage }), ...(redirect && { redirect }) }, login);
    [this.writing, this.reading, this.asking] = [link(), link(), link()];
    this.hearing = link((channel, name) => this.notices.heard(channel, name));
    this.notices = new RedisNotices(this.hearing);
  }

  /** @throws {SmltError} `StoreUnavailable` when no server answers, `StoreDenied` when it refuses */
  static async open(uri: string, settings: RedisSettings = {}): Promise<RedisExchange> {
    const exchange = new RedisExchange(uri, settings);
    try {
      await exchange.ask('opening the exchange', exchange.asking, (redis) => redis.command(['PING']), { patienceMs: openPatienceMs });
    } catch (error) {
      await exchange.close();
      throw error;
    }
    return exchange;
  }

  /** One that looks for its server when it is first asked for something. */
  static unopened(uri: string, settings: RedisSettings): RedisExchange {
    return new RedisExchange(uri, settings);
  }

  async putValue(name: string, parts: readonly Uint8Array[], signal?: AbortSignal): Promise<void> {
    const head = this.keys.head(name);
    const frame = exchangeFrames.frameOf(parts);
    const [first = [], ...more] = cutViews(parts, chunkBytes);
    this.traffic.requests++;
    this.traffic.puts++;
    const life = ['PX', String(lifeMs)];
    const commands: RespArgument[][] = more.map((views, i) => ['SET', this.keys.chunk(name, frame.digest, i + 1), views, ...life]);
    commands.push(['SET', head, [frame.header, ...first], 'NX', ...life], ['PUBLISH', this.keys.channel(name), name]);
    const put = async (redis: RespConnection) => (await redis.pipeline(commands))[more.length] !== null;
    const options = { signal, neededBytes: frame.bytes + headerBytes * (1 + more.length) };
    const putIfAbsent = () => this.ask(`writing ${name}`, this.writing, put, options);
    if (await putOnce(name, frame, putIfAbsent, () => this.storedHeader(name, signal))) this.traffic.bytesWritten += headerBytes + frame.bytes;
  }

  async get(name: string, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    return this.read({ name, room: (bytes) => new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer) }, signal);
  }

  async getInto(name: string, into: Uint8Array, signal?: AbortSignal): Promise<boolean> {
    return (await this.read({ name, bytes: into.byteLength, room: () => into }, signal)) !== undefined;
  }

  async present(names: readonly string[], signal?: AbortSignal): Promise<boolean[]> {
    this.traffic.requests++;
    return this.exist(names, signal);
  }

  async waitFor(names: readonly string[], { timeoutMs, signal }: WaitOptions, onArrival?: (name: string) => void): Promise<string[]> {
    signal?.throwIfAborted();
    this.traffic.requests++;
    const missing = new Set(names);
    const channels = new Set(names.map((name) => this.keys.channel(name)));
    const untilMs = performance.now() + timeoutMs;
    const wake = new Wake(signal);
    const arrived = (name: string) => {
      if (!missing.delete(name)) return;
      try {
        onArrival?.(name);
      } catch (error) {
        wake.fail(error);
      }
      if (missing.size === 0) wake.up();
    };
    this.notices.add(channels, arrived);
    try {
      for (let pauseMs = recheckMs.first; ; pauseMs = Math.min(2 * pauseMs, recheckMs.longest)) {
        try {
          // Listen first: what arrives after the look is heard.
          if (timeoutMs > 0) await this.notices.subscribe(channels);
          const asked = [...missing];
          const there = await this.exist(asked, signal, { patienceMs: 0 });
          asked.forEach((name, i) => there[i] && arrived(name));
        } catch (error) {
          // A server that is away has no news; whoever waits looks again until time is up.
          if (!isPassing(error) && (error as Partial<SmltError>).code !== 'StoreUnavailable') throw redisFault(error, 'waiting', this.location.where);
        }
        const leftMs = untilMs - performance.now();
        if (missing.size === 0 || wake.failed || leftMs <= 0) break;
        await wake.within(Math.min(pauseMs, leftMs));
        if (missing.size === 0 || wake.failed) break;
      }
      wake.throwIfFailed();
      return [...missing];
    } finally {
      this.notices.remove(channels, arrived);
      wake.end();
    }
  }

  take(taker: Taker): Taking {
    const { keys, reading, replies, notices, traffic } = this;
    const discard = (name: string) => this.discard(name);
    return new RedisTaking({ keys, reading, replies, notices, traffic, where: this.location.where, discard }, taker);
  }

  async delete(names: readonly string[], signal?: AbortSignal): Promise<void> {
    this.traffic.requests++;
    const heads = names.map((name) => this.keys.head(name));
    await this.ask(
      `deleting ${names.length} values`,
      this.asking,
      async (redis) => {
        const headers = await redis.pipeline(heads.map((head) => ['GETRANGE', head, '0', String(headerBytes - 1)]));
        const keys = names.flatMap((name, i) => [heads[i]!, ...this.chunksOf(name, headers[i] as Buffer)]);
        await redis.pipeline(keys.map((key) => ['UNLINK', key]));
      },
      { signal },
    );
  }

  async list(prefix: string, signal?: AbortSignal): Promise<string[]> {
    checkPrefix(prefix);
    this.traffic.requests++;
    const found = new Set<string>();
    await this.scan(this.keys.pattern(prefix), signal, async (keys) => {
      for (const key of keys) {
        const name = this.keys.nameOf(key);
        if (name?.startsWith(prefix) === true) found.add(name);
      }
    });
    return [...found];
  }

  async expire(olderThanMs: number): Promise<void> {
    await this.scan(this.keys.pattern(''), undefined, async (keys, redis) => {
      const left = (await redis.pipeline(keys.map((key) => ['PTTL', key]))) as number[];
      const old = keys.filter((_, i) => lifeMs - left[i]! > olderThanMs);
      await redis.pipeline(old.map((key) => ['UNLINK', key]));
    });
  }

  async close(): Promise<void> {
    for (const link of [this.writing, this.reading, this.asking, this.hearing]) link.close();
  }

  /** Reads a value where it is to go. */
  private async read(plan: ReadPlan, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
    this.keys.head(plan.name); // a bad name is not a request
    this.traffic.requests++;
    this.traffic.gets++;
    const value = await this.orAbsent(plan.name, () =>
      this.ask(
        `reading ${plan.name}`,
        this.reading,
        (redis) =>
          new Promise<Uint8Array | undefined>((resolve, reject) =>
            readValue(redis, this.keys, this.replies, plan, (outcome) => (outcome instanceof Error ? reject(outcome) : resolve(outcome))),
          ),
        { signal },
      ),
    );
    if (value) this.traffic.bytesRead += headerBytes + value.byteLength;
    return value;
  }

  private async storedHeader(name: string, signal: AbortSignal | undefined): Promise<FrameHeader | undefined> {
    return this.orAbsent(name, () =>
      this.ask(
        `looking at ${name}`,
        this.asking,
        async (redis) => {
          const head = this.keys.head(name);
          const [header, bytes] = await redis.pipeline([
            ['GETRANGE', head, '0', String(headerBytes - 1)],
            ['STRLEN', head],
          ]);
          return bytes === 0 ? undefined : headerOf(header as Buffer, Number(bytes), name);
        },
        { signal },
      ),
    );
  }

  private orAbsent<T>(name: string, look: () => Promise<T | undefined>): Promise<T | undefined> {
    return absentIfCorrupt(look, () => this.discard(name));
  }
  private async discard(name: string): Promise<void> {
    await this.ask(`deleting ${name}`, this.asking, (redis) => redis.command(['UNLINK', this.keys.head(name)]));
  }

  private chunksOf(name: string, header: Buffer): string[] {
    try {
      const { bytes, digest } = exchangeFrames.parseHeader(header, undefined, name);
      return Array.from({ length: chunkCount(bytes) - 1 }, (_, i) => this.keys.chunk(name, digest, i + 1));
    } catch {
      return []; // nothing there, or not ours to understand
    }
  }

  private async exist(names: readonly string[], signal: AbortSignal | undefined, options: { patienceMs?: number } = {}): Promise<boolean[]> {
    const heads = names.map((name) => this.keys.head(name));
    const ask = (redis: RespConnection) => redis.pipeline(heads.map((head) => ['EXISTS', head]));
    return (await this.ask(`looking for ${names.length} values`, this.asking, ask, { signal, ...options })).map((count) => count === 1);
  }

  private async scan(pattern: string, signal: AbortSignal | undefined, use: (keys: string[], redis: RespConnection) => Promise<void>): Promise<void> {
    let cursor = '0';
    do {
      await this.ask(
        'listing values',
        this.asking,
        async (redis) => {
          const [next, keys] = (await redis.command(['SCAN', cursor, 'MATCH', pattern, 'COUNT', '1000'])) as [Buffer, Buffer[]];
          await use(keys.map(String), redis);
          cursor = String(next);
        },
        { signal },
      );
    } while (cursor !== '0');
  }

  /** Does something over a connection, again and again while the server is away, until patience ends. */
  private async ask<T>(
    doing: string,
    link: RedisLink,
    work: (redis: RespConnection) => Promise<T>,
    options: { signal?: AbortSignal | undefined; neededBytes?: number; patienceMs?: number } = {},
  ): Promise<T> {
    const { signal, neededBytes = 0 } = options;
    const untilMs = performance.now() + (options.patienceMs ?? this.patienceMs);
    for (let pause = pauseMs.first; ; pause = Math.min(2 * pause, pauseMs.longest)) {
      signal?.throwIfAborted();
      try {
        return await work(link.current ?? (await link.connection()));
      } catch (error) {
        if (isFull(error)) throw fullFault(error, doing, this.location.where, neededBytes, await this.memory());
        if (!isPassing(error) || performance.now() + pause > untilMs) throw redisFault(error, doing, this.location.where);
      }
      await sleep(pause, undefined, signal && { signal });
    }
  }

  private async memory(): Promise<string> {
    return this.asking.connection().then(
      async (redis) => String(await redis.command(['INFO', 'memory'])),
      () => '',
    );
  }
}

/** A wait's alarm clock. */
class Wake {
  private awake: (() => void) | undefined;
  private error: { readonly reason: unknown } | undefined;
  private readonly onAbort = () => this.fail(this.signal?.reason);

  constructor(private readonly signal: AbortSignal | undefined) {
    signal?.addEventListener('abort', this.onAbort, { once: true });
  }
  get failed(): boolean {
    return this.error !== undefined;
  }
  up(): void {
    this.awake?.();
  }
  fail(reason: unknown): void {
    this.error ??= { reason };
    this.up();
  }
  throwIfFailed(): void {
    if (this.error) throw this.error.reason;
  }
  within(durationMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, durationMs);
      this.awake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
  end(): void {
    this.signal?.removeEventListener('abort', this.onAbort);
  }
}
