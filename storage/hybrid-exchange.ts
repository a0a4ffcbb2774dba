import { SmltError } from '../contracts/errors';
import { checkObjectName } from '../contracts/names';
import type { ChargedRequests } from './charged-requests';
import type { Exchange, ExchangeTraffic, Taker, Taking, WaitOptions } from './exchange';
import { allThrough, waitInEach } from './several';
import { PlainTaking } from './taking';

/** Where a value goes: what a step leaves behind for good lasts, what workers wait for is hot, its parameters are both. */
type Place = 'hot' | 'lasting' | 'both';
const ofStep = /\/steps\/(?:0|[1-9][0-9]*)\/(params|state)\//;

function placeOf(name: string): Place {
  const kind = ofStep.exec(checkObjectName(name))?.[1];
  return kind === 'state' ? 'lasting' : kind === 'params' ? 'both' : 'hot';
}

/**
 * Two exchanges as one: partial sums and parameters pass through a hot one, such as Redis; optimiser state, which nobody
 * waits for and which is most of the bytes, lies in a lasting one, such as S3, with a second copy of the parameters.
 * 1. A step whose parameters and state are in the lasting one is whole: losing all of the hot one costs the step under way.
 * 2. What is gone from the hot one is read from the lasting one. A look without waiting asks the hot one only.
 * 3. Traffic counts calls here, and the bytes that really moved: a copy is bytes, too.
 */
export class HybridExchange implements Exchange {
  readonly charged: ChargedRequests | undefined;
  readonly shards: number | undefined;
  private readonly calls = { puts: 0, gets: 0, requests: 0 };

  constructor(
    readonly uri: string,
    private readonly hot: Exchange,
    private readonly lasting: Exchange,
  ) {
    this.charged = lasting.charged ?? hot.charged;
    this.shards = hot.shards;
  }

  get traffic(): ExchangeTraffic {
    const sum = (of: 'bytesWritten' | 'bytesRead') => this.hot.traffic[of] + this.lasting.traffic[of];
    return { bytesWritten: sum('bytesWritten'), bytesRead: sum('bytesRead'), ...this.calls };
  }

  async putValue(name: string, parts: readonly Uint8Array[], signal?: AbortSignal): Promise<void> {
    this.calls.requests++;
    this.calls.puts++;
    await allThrough(this.storesOf(name).map((store) => store.putValue(name, parts, signal)));
  }

  async get(name: string, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    this.calls.requests++;
    this.calls.gets++;
    for (const store of this.storesOf(name)) {
      const value = await store.get(name, signal);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  async getInto(name: string, into: Uint8Array, signal?: AbortSignal): Promise<boolean> {
    this.calls.requests++;
    this.calls.gets++;
    for (const store of this.storesOf(name)) if (await store.getInto(name, into, signal)) return true;
    return false;
  }

  async present(names: readonly string[], signal?: AbortSignal): Promise<boolean[]> {
    this.calls.requests++;
    const there = new Set<string>();
    const look = async (store: Exchange, asked: readonly string[]) => {
      if (asked.length === 0) return;
      (await store.present(asked, signal)).forEach((found, i) => found && there.add(asked[i]!));
    };
    const places = names.map(placeOf);
    await allThrough([
      look(
        this.lasting,
        names.filter((_, i) => places[i] === 'lasting'),
      ),
      look(
        this.hot,
        names.filter((_, i) => places[i] !== 'lasting'),
      ),
    ]);
    await look(
      this.lasting,
      names.filter((name, i) => places[i] === 'both' && !there.has(name)),
    );
    return names.map((name) => there.has(name));
  }

  async waitFor(names: readonly string[], { timeoutMs, signal }: WaitOptions, onArrival?: (name: string) => void): Promise<string[]> {
    this.calls.requests++;
    const places = names.map(placeOf);
    const lasting = names.filter((_, i) => places[i] === 'lasting');
    const hot = names.filter((_, i) => places[i] !== 'lasting');
    const missing = await waitInEach(
      [
        [this.lasting, lasting],
        [this.hot, hot],
      ],
      { timeoutMs, ...(signal && { signal }) },
      onArrival,
    );
    const copied = timeoutMs > 0 ? missing.filter((name) => placeOf(name) === 'both') : [];
    const gone = new Set(copied.length > 0 ? await this.lasting.waitFor(copied, { timeoutMs: 0, ...(signal && { signal }) }, onArrival) : []);
    return missing.filter((name) => gone.has(name) || !copied.includes(name));
  }

  take(taker: Taker, lookMs: number): Taking {
    return new PlainTaking(this, taker, lookMs);
  }

  async delete(names: readonly string[], signal?: AbortSignal): Promise<void> {
    this.calls.requests++;
    const places = names.map(placeOf);
    const from = async (store: Exchange, asked: readonly string[]) => asked.length > 0 && store.delete(asked, signal);
    await allThrough([
      from(
        this.hot,
        names.filter((_, i) => places[i] !== 'lasting'),
      ),
      from(
        this.lasting,
        names.filter((_, i) => places[i] !== 'hot'),
      ),
    ]);
  }

  async list(prefix: string, signal?: AbortSignal): Promise<string[]> {
    this.calls.requests++;
    const found = await allThrough([this.hot.list(prefix, signal), this.lasting.list(prefix, signal)]);
    return [...new Set(found.flat())];
  }

  async expire(olderThanMs: number): Promise<void> {
    await allThrough([this.hot.expire(olderThanMs), this.lasting.expire(olderThanMs)]);
  }

  async close(): Promise<void> {
    await allThrough([this.hot.close(), this.lasting.close()]);
  }

  /** The one to ask first comes first. */
  private storesOf(name: string): readonly Exchange[] {
    switch (placeOf(name)) {
      case 'hot':
        return [this.hot];
      case 'lasting':
        return [this.lasting];
      case 'both':
        return [this.hot, this.lasting];
    }
  }
}

/** `hybrid:HOT,LASTING`, each the URI of another exchange. @throws {SmltError} `InvalidSpec` */
export function parseHybridUri(uri: string): { readonly hot: string; readonly lasting: string } {
  // A list of Redis servers has commas of its own: the second URI begins with the last scheme.
  const [, hot, lasting] = /^hybrid:(.+),([a-z][a-z0-9+.-]*:(?:\/\/.*)?)$/.exec(uri) ?? [];
  if (hot === undefined || lasting === undefined || [hot, lasting].some((inner) => inner.includes('hybrid:')))
    throw new SmltError(
      'InvalidSpec',
      `exchange ${JSON.stringify(uri)}: expected hybrid:HOT,LASTING, two URIs of other exchanges, such as hybrid:redis://HOST,s3://BUCKET/PREFIX`,
    );
  return { hot, lasting };
}
