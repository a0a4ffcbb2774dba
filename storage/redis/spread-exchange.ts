import { checkPrefix } from '../prefix';
import type { Exchange, ExchangeTraffic, Taker, Taking, WaitOptions } from '../exchange';
import { allThrough, waitInEach } from '../several';
import { PlainTaking } from '../taking';

/** Servers that share values among them, and who holds which. */
export interface RedisServers {
  /** One exchange a server. */
  readonly all: readonly Exchange[];
  /** The one that holds a value, at the moment. @throws {SmltError} `StoreUnavailable` when none does */
  holderOf(name: string): Exchange;
  /** Where values move from server to server: does the work again, when nobody answers, at those that hold them by then. */
  following?<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** The longest that one may wait at one server for a value that may move meanwhile. */
  readonly longestWaitMs?: number;
  close(): Promise<void>;
}

/**
 * Several Redis servers as one exchange: each value lies whole on one of them. What needs many values asks all servers that
 * hold any of them at once. Traffic counts calls here, and the bytes that the servers' exchanges move.
 */
export class SpreadExchange implements Exchange {
  private readonly calls = { puts: 0, gets: 0, requests: 0 };

  constructor(
    readonly uri: string,
    private readonly servers: RedisServers,
    /** Who have moved bytes, those that hold nothing any more included. */
    private readonly everyone: () => Iterable<Exchange> = () => servers.all,
  ) {}

  get shards(): number {
    return this.servers.all.length;
  }

  get traffic(): ExchangeTraffic {
    const sum = { bytesWritten: 0, bytesRead: 0 };
    for (const { traffic } of this.everyone()) {
      sum.bytesWritten += traffic.bytesWritten;
      sum.bytesRead += traffic.bytesRead;
    }
    return { ...sum, ...this.calls };
  }

  async putValue(name: string, parts: readonly Uint8Array[], signal?: AbortSignal): Promise<void> {
    this.calls.requests++;
    this.calls.puts++;
    await this.following(() => this.servers.holderOf(name).putValue(name, parts, signal), signal);
  }

  async get(name: string, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    this.calls.requests++;
    this.calls.gets++;
    return this.following(() => this.servers.holderOf(name).get(name, signal), signal);
  }

  async getInto(name: string, into: Uint8Array, signal?: AbortSignal): Promise<boolean> {
    this.calls.requests++;
    this.calls.gets++;
    return this.following(() => this.servers.holderOf(name).getInto(name, into, signal), signal);
  }

  async present(names: readonly string[], signal?: AbortSignal): Promise<boolean[]> {
    this.calls.requests++;
    return this.following(async () => {
      const there = new Set<string>();
      const look = async ([server, asked]: [Exchange, string[]]) =>
        (await server.present(asked, signal)).forEach((found, i) => found && there.add(asked[i]!));
      await allThrough(this.byHolder(names).map(look));
      return names.map((name) => there.has(name));
    }, signal);
  }

  async waitFor(names: readonly string[], { timeoutMs, signal }: WaitOptions, onArrival?: (name: string) => void): Promise<string[]> {
    signal?.throwIfAborted();
    this.calls.requests++;
    const untilMs = performance.now() + timeoutMs;
    for (let missing: readonly string[] = names; ;) {
      const leftMs = Math.max(0, untilMs - performance.now());
      const options = { timeoutMs: Math.min(leftMs, this.servers.longestWaitMs ?? Infinity), ...(signal && { signal }) };
      const asked = missing;
      missing = await this.following(() => waitInEach(this.byHolder(asked), options, onArrival), signal);
      if (missing.length === 0 || performance.now() >= untilMs) return [...missing];
    }
  }

  take(taker: Taker, lookMs: number): Taking {
    return new PlainTaking(this, taker, lookMs);
  }

  async delete(names: readonly string[], signal?: AbortSignal): Promise<void> {
    this.calls.requests++;
    await this.following(() => allThrough(this.byHolder(names).map(([server, held]) => server.delete(held, signal))), signal);
  }

  async list(prefix: string, signal?: AbortSignal): Promise<string[]> {
    checkPrefix(prefix);
    this.calls.requests++;
    const found = await this.following(() => allThrough(this.servers.all.map((server) => server.list(prefix, signal))), signal);
    return [...new Set(found.flat())];
  }

  async expire(olderThanMs: number): Promise<void> {
    await this.following(() => allThrough(this.servers.all.map((server) => server.expire(olderThanMs))));
  }

  close(): Promise<void> {
    return this.servers.close();
  }

  private following<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.servers.following?.(work, signal) ?? work();
  }

  private byHolder(names: readonly string[]): [Exchange, string[]][] {
    const held = new Map<Exchange, string[]>();
    for (const name of names) {
      const holder = this.servers.holderOf(name);
      const known = held.get(holder);
      if (known) known.push(name);
      else held.set(holder, [name]);
    }
    return [...held];
  }
}
