import type { RedisLink } from './redis-link';
import type { RespConnection } from './resp-connection';

type Listener = (name: string) => void;
/** Subscriptions that nobody waits on are kept for the next step, up to this many. */
const keptChannels = 64;

/**
 * Hears of arrivals for everybody in this process who waits. A notice is only a hint: it is lost when its connection breaks,
 * so a waiter also looks for itself, and listens anew before it looks.
 */
export class RedisNotices {
  private readonly listeners = new Map<string, Set<Listener>>();
  private subscribedOn: RespConnection | undefined;
  private readonly subscribed = new Map<string, Promise<unknown>>();

  constructor(private readonly link: RedisLink) {}

  /** Told by the connection. */
  heard(channel: string, name: string): void {
    for (const listener of this.listeners.get(channel) ?? []) listener(name);
  }

  add(channels: Iterable<string>, listener: Listener): void {
    for (const channel of channels) {
      const known = this.listeners.get(channel) ?? new Set();
      this.listeners.set(channel, known.add(listener));
    }
  }

  remove(channels: Iterable<string>, listener: Listener): void {
    for (const channel of channels) {
      const known = this.listeners.get(channel);
      known?.delete(listener);
      if (known?.size === 0) this.listeners.delete(channel);
    }
    for (const channel of this.subscribed.keys()) {
      if (this.subscribed.size <= keptChannels) return;
      if (this.listeners.has(channel)) continue;
      this.subscribed.delete(channel);
      this.subscribedOn?.command(['UNSUBSCRIBE', channel]).catch(() => undefined); // a broken connection has none
    }
  }

  /** Resolves when the server has confirmed: whatever arrives from here on is heard, as long as the connection lives. */
  async subscribe(channels: Iterable<string>): Promise<void> {
    const connection = await this.link.connection();
    if (connection !== this.subscribedOn) {
      this.subscribedOn = connection;
      this.subscribed.clear();
    }
    await Promise.all(
      [...channels].map((channel) => {
        const known = this.subscribed.get(channel) ?? connection.command(['SUBSCRIBE', channel]);
        this.subscribed.delete(channel); // to the end: the map's order is the order of last use
        this.subscribed.set(channel, known);
        return known;
      }),
    );
  }
}
