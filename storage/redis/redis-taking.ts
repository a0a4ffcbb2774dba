import { SmltError } from '../../contracts/errors';
import type { ExchangeTraffic, Taker, Taking, Wanted } from '../exchange';
import { exchangeFrames } from '../frame';
import { isPassing, redisFault } from './redis-faults';
import type { RedisKeys } from './redis-keys';
import type { RedisLink } from './redis-link';
import { readValue, type ReadOutcome } from './redis-read';
import type { RedisNotices } from './redis-waiting';
import type { RespConnection } from './resp-connection';
import type { Window } from './window';

const recheckMs = { first: 25, longest: 400 };
/** Notices of values that nobody wants yet are remembered, the newest so many. */
const earlyKept = 512;

/** What a taking has of its exchange. */
export interface RedisParts {
  readonly keys: RedisKeys;
  readonly reading: RedisLink;
  readonly replies: Window;
  readonly notices: RedisNotices;
  readonly traffic: ExchangeTraffic;
  readonly where: string;
  /** Deletes what is corrupt. */
  readonly discard: (name: string) => Promise<unknown>;
}

interface Item {
  readonly wanted: Wanted;
  /** Nothing is known of it, its reply is due, or what is there is being deleted. */
  state: 'missing' | 'asked' | 'corrupt';
  /** A notice came while the reply was due, which may be older. */
  told: boolean;
}

/**
 * Takes values as notices tell of them, in one round trip each.
 * 1. A notice says when to ask; the key is the truth. So all that is missing is asked for when a channel is first listened
 *    to, which tells nothing of what came before, and after 25 ms, growing to 400, without news.
 * 2. Where that finds what no notice told of, this reader is behind the others, and next asks at once for all it wants.
 * 3. While the server is away nothing comes. Whoever waits finds that out by asking something else.
 */
export class RedisTaking implements Taking {
  private readonly items = new Map<string, Item>();
  private readonly channels = new Set<string>();
  private readonly early = new Set<string>();
  private isBehind = false;
  private pauseMs = recheckMs.first;
  private timer: NodeJS.Timeout | undefined;
  private reads = 0;
  private stopped = false;
  private whenQuiet: () => void = () => undefined;
  private readonly heard = (name: string) => this.hear(name);

  constructor(
    private readonly parts: RedisParts,
    private readonly taker: Taker,
  ) {}

  want(values: readonly Wanted[]): void {
    const { keys, notices, traffic } = this.parts;
    traffic.requests++;
    const unsure: Item[] = [];
    for (const wanted of values) {
      const item: Item = { wanted, state: 'missing', told: false };
      this.items.set(wanted.name, item);
      const channel = keys.channel(wanted.name);
      const isNew = !this.channels.has(channel);
      if (isNew) {
        this.channels.add(channel);
        notices.add([channel], this.heard);
      }
      if (this.early.delete(wanted.name)) this.ask(item);
      else if (isNew || this.isBehind) unsure.push(item);
    }
    this.isBehind = false;
    if (unsure.length > 0) void this.look(unsure);
    if (this.pauseMs > recheckMs.first) {
      clearTimeout(this.timer);
      this.timer = undefined;
    }
    this.pauseMs = recheckMs.first;
    this.timer ??= setTimeout(() => this.recheck(), this.pauseMs);
  }

  /** Notices come by themselves. */
  glance(): void {}
  attend(): void {}

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    this.parts.notices.remove(this.channels, this.heard);
    if (this.reads > 0) await new Promise<void>((resolve) => (this.whenQuiet = resolve));
  }

  private hear(name: string): void {
    const item = this.items.get(name);
    if (item) {
      item.told = true;
      if (item.state === 'missing') this.ask(item);
      return;
    }
    this.early.add(name);
    if (this.early.size > earlyKept) this.early.delete(this.early.values().next().value!);
  }

  private recheck(): void {
    this.timer = undefined;
    if (this.items.size === 0) return;
    const missing = [...this.items.values()].filter(({ state }) => state === 'missing');
    if (missing.length > 0) void this.look(missing);
    this.pauseMs = Math.min(2 * this.pauseMs, recheckMs.longest);
    this.timer = setTimeout(() => this.recheck(), this.pauseMs);
  }

  /** Listens first: what arrives after it has asked is heard. */
  private async look(items: readonly Item[]): Promise<void> {
    try {
      await this.parts.notices.subscribe(this.channels);
    } catch (error) {
      return this.trouble(error);
    }
    for (const item of items) if (item.state === 'missing') this.ask(item, 'untold');
  }

  private ask(item: Item, how: 'told' | 'untold' = 'told'): void {
    if (this.stopped) return;
    item.state = 'asked';
    item.told = false;
    this.reads++;
    const { reading } = this.parts;
    if (reading.current) return this.read(reading.current, item, how);
    reading.connection().then(
      (connection) => this.read(connection, item, how),
      (error: Error) => this.through(item, how, error),
    );
  }

  private read(redis: RespConnection, item: Item, how: 'told' | 'untold'): void {
    const { keys, replies } = this.parts;
    const { name, bytes, room } = item.wanted;
    if (room) readValue(redis, keys, replies, { name, bytes, room }, (outcome) => this.through(item, how, outcome));
    else
      redis.send(['EXISTS', keys.head(name)], undefined, (reply) =>
        this.through(item, how, reply instanceof Error ? reply : reply === 1 ? new Uint8Array() : undefined),
      );
  }

  private through(item: Item, how: 'told' | 'untold', outcome: ReadOutcome): void {
    this.reads--;
    if (this.stopped) {
      if (this.reads === 0) this.whenQuiet();
      return;
    }
    item.state = 'missing';
    if (outcome === undefined) return item.told ? this.ask(item) : undefined;
    if (outcome instanceof Error) return this.trouble(outcome, item);
    if (how === 'untold') this.isBehind = true;
    const { name, room } = item.wanted;
    this.items.delete(name);
    if (room) this.count(outcome.byteLength);
    try {
      this.taker.taken(name);
    } catch (error) {
      this.taker.failed(error);
    }
  }

  private count(bytes: number): void {
    const { traffic } = this.parts;
    traffic.requests++;
    traffic.gets++;
    traffic.bytesRead += exchangeFrames.headerBytes + bytes;
  }

  /** What passes is asked for again. */
  private trouble(error: unknown, item?: Item): void {
    if (this.stopped || isPassing(error)) return;
    if (!item || !(error instanceof SmltError) || error.code !== 'ObjectCorrupt')
      return this.taker.failed(redisFault(error, item ? `reading ${item.wanted.name}` : 'waiting', this.parts.where));
    const { name } = item.wanted;
    item.state = 'corrupt';
    this.parts.discard(name).then(
      () => {
        item.state = 'missing';
        if (!this.stopped) this.taker.gone(name);
      },
      (fault: unknown) => !this.stopped && this.taker.failed(fault),
    );
  }
}
