import { setTimeout as sleep } from 'node:timers/promises';
import { SmltError } from '../../contracts/errors';
import type { Exchange } from '../exchange';
import { redisFault } from './redis-faults';
import { RedisExchange, type RedisSettings } from './redis-exchange';
import { RedisKeys } from './redis-keys';
import { linkTimes, loginOf, RedisLink } from './redis-link';
import { parseRedisUri, redisServersIn, type RedisLocation } from './redis-uri';
import { RespError, type Redirect, type RespReply } from './resp-connection';
import { SLOTS, slotOf } from './slots';
import { SpreadExchange, type RedisServers } from './spread-exchange';

const openPatienceMs = 2_000;
const patienceMs = 10_000;
/** A node that is away may have a successor by now: soon asked for, again and again. */
const nodePatienceMs = 300;
const pauseMs = { first: 20, longest: 500 };
const longestWaitMs = 1_000;

/**
 * A Redis Cluster, `redis+cluster://NODE,NODE,...`: whoever of the nodes answers says who serves which slots (CLUSTER SLOTS).
 * 1. A command that is answered with MOVED or ASK goes on to the node named there, once, in order; MOVED teaches who serves
 *    the slot from now on, and all slots are asked for again.
 * 2. A node that does not answer is given up soon, the slots are asked for again, and the work is done at whoever serves them
 *    by then, until patience ends.
 * 3. Notices pass through the whole cluster, so a waiter listens at the nodes that hold what it waits for.
 */
export class RedisCluster implements RedisServers {
  readonly longestWaitMs = longestWaitMs;
  private readonly keys: RedisKeys;
  private readonly seeds: readonly RedisLocation[];
  /** By address; kept when they serve nothing any more, for what they have counted. */
  private readonly nodes = new Map<string, RedisExchange>();
  private readonly links = new Map<string, RedisLink>();
  private slots: readonly (string | undefined)[] = [];
  private looking: Promise<void> | undefined;
  private isClosed = false;

  private constructor(
    private readonly uri: string,
    private readonly settings: RedisSettings,
  ) {
    this.seeds = redisServersIn(uri).map(parseRedisUri);
    const { prefix, database } = this.seeds[0]!;
    if (database !== 0) throw new SmltError('InvalidSpec', `exchange ${JSON.stringify(uri)}: a cluster has database 0 only, not ${database}`);
    this.keys = new RedisKeys(prefix, database);
  }

  /** @throws {SmltError} `StoreUnavailable` when no node answers, `StoreDenied` when one refuses or is in no cluster */
  static async open(uri: string, settings: RedisSettings = {}): Promise<SpreadExchange> {
    const cluster = new RedisCluster(uri, settings);
    try {
      await cluster.patiently(() => cluster.look(), openPatienceMs);
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return new SpreadExchange(uri, cluster, () => cluster.nodes.values());
  }

  get all(): Exchange[] {
    const serving = new Set(this.slots);
    return [...serving].flatMap((address) => (address === undefined ? [] : [this.nodeAt(address)]));
  }

  holderOf(name: string): Exchange {
    const slot = slotOf(this.keys.head(name));
    const address = this.slots[slot];
    if (address === undefined) throw new SmltError('StoreUnavailable', `${name} at Redis ${this.where}: no node serves slot ${slot}`);
    return this.nodeAt(address);
  }

  async following<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.patiently(work, this.settings.patienceMs ?? patienceMs, signal);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    for (const link of this.links.values()) link.close();
    await Promise.all([...this.nodes.values()].map((node) => node.close()));
  }

  private async patiently<T>(work: () => Promise<T>, forMs: number, signal?: AbortSignal): Promise<T> {
    const untilMs = performance.now() + forMs;
    for (let pause = pauseMs.first; ; pause = Math.min(2 * pause, pauseMs.longest)) {
      try {
        return await work();
      } catch (error) {
        if ((error as Partial<SmltError>).code !== 'StoreUnavailable' || performance.now() + pause > untilMs) throw error;
      }
      await sleep(pause, undefined, signal && { signal });
      await this.look().catch(() => undefined); // what is known has to do
    }
  }

  /** Learns who serves which slots, from whoever answers first. */
  private look(): Promise<void> {
    this.looking ??= this.ask().finally(() => (this.looking = undefined));
    return this.looking;
  }

  private async ask(): Promise<void> {
    const known = [...new Set([...this.seeds.map(addressOf), ...this.slots.filter((address) => address !== undefined)])];
    try {
      this.slots = await Promise.any(
        known.map(async (address) => {
          const connection = await this.linkTo(address).connection();
          return slotsIn(await connection.command(['CLUSTER', 'SLOTS']), hostOf(address));
        }),
      );
    } catch (error) {
      const errors = error instanceof AggregateError ? (error.errors as unknown[]) : [error];
      throw this.faultOf(errors.find((one) => one instanceof RespError) ?? errors[0]);
    }
  }

  private faultOf(error: unknown): unknown {
    const said = error instanceof RespError ? error.message : '';
    if (/cluster support disabled/.test(said)) {
      const plain = this.uri.replace('+cluster', '');
      return new SmltError('StoreDenied', `Redis ${this.where} is in no cluster (${said}); write ${plain}`, { cause: error });
    }
    return redisFault(error, 'asking who serves which slots', this.where);
  }

  private get where(): string {
    return this.seeds.map(({ where }) => where).join(',');
  }

  private nodeAt(address: string): RedisExchange {
    const known = this.nodes.get(address);
    if (known) return known;
    const node = RedisExchange.unopened(this.uriOf(address), {
      ...this.settings,
      patienceMs: Math.min(this.settings.patienceMs ?? patienceMs, nodePatienceMs),
      redirect: this.redirectFrom(hostOf(address)),
    });
    if (this.isClosed) void node.close();
    this.nodes.set(address, node);
    return node;
  }

  /** Follows a node's word that others hold what it was asked for. */
  private redirectFrom(host: string): Redirect {
    return async (error, args, room) => {
      const [, kind, slot, named, port] = /^(MOVED|ASK) ([0-9]+) (.*):([0-9]+)$/.exec(error instanceof RespError ? error.message : '') ?? [];
      if (kind === undefined) throw error;
      const address = joined(named || host, Number(port));
      const connection = await this.linkTo(address).connection();
      const asking = kind === 'ASK' ? connection.command(['ASKING']) : undefined;
      const reply = connection.command(args, room);
      await Promise.allSettled([asking, reply]);
      if (kind === 'MOVED') {
        this.slots = this.slots.with(Number(slot), address);
        this.look().catch(() => undefined); // the next one that fails says so
      }
      return reply.catch((again: unknown) => {
        // Slots that move while one follows them: the work is done again.
        if (again instanceof RespError && /^(MOVED|ASK)\b/.test(again.message)) throw new RespError(`TRYAGAIN ${again.message}`);
        throw again;
      });
    };
  }

  private linkTo(address: string): RedisLink {
    const known = this.links.get(address);
    if (known) return known;
    const location = parseRedisUri(this.uriOf(address));
    const link = new RedisLink({ ...location.address, ...linkTimes }, loginOf(this.settings, 0));
    if (this.isClosed) link.close();
    this.links.set(address, link);
    return link;
  }

  /** Nodes have the first seed's options. */
  private uriOf(address: string): string {
    return redisServersIn(this.uri)[0]!.replace(/\/\/[^/?#]*/, `//${address}`);
  }
}

const joined = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;
const addressOf = ({ address }: RedisLocation): string => joined(address.host ?? '', address.port ?? 0);
const hostOf = (address: string): string => address.replace(/:[0-9]+$/, '').replace(/^\[|\]$/g, '');

/** By slot, the address of the master that serves it. A node that does not know its own host was asked at `askedHost`. */
function slotsIn(reply: RespReply, askedHost: string): (string | undefined)[] {
  const slots = new Array<string | undefined>(SLOTS).fill(undefined);
  for (const [start, end, [host, port]] of reply as [number, number, [Buffer | null, number]][])
    slots.fill(joined(String(host ?? '') || askedHost, port), start, end + 1);
  return slots;
}
