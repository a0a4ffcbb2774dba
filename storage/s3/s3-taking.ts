import type { SmltError } from '../../contracts/errors';
import { checkRoom } from '../frame';
import type { ExchangeTraffic, Taker, Taking, Wanted } from '../exchange';
import { isMissing } from './s3-faults';
import { groupsOfLook, pauseAfterMs } from './s3-looking';
import type { S3Reader } from './s3-reader';
import type { S3Requests } from './s3-requests';

/** How many names the looks between those at all of a folder ask for. */
const scouts = 2;

/** What a taking has of its exchange. */
export interface S3Parts {
  readonly requests: S3Requests;
  readonly reader: S3Reader;
  readonly traffic: ExchangeTraffic;
  readonly glanceMs: number;
}

/**
 * Takes values by asking for them, since S3 tells nobody of an arrival.
 * 1. Few values of a folder are asked for by GET straight away: that costs what a HEAD costs, and where it finds one its answer is
 *    the value already. Of many, a LIST says which are there.
 * 2. The first look asks for all in the first missing name's folder, the next ones for two of them in turn, every fourth for
 *    all that is missing. What is found calls for another look at once: where one has come, others have.
 * 3. Looks are made for who waits, at pauses that bound what a wait costs (s3-looking.ts), and at least as long as a look took.
 * 4. While the server is away nothing comes. Whoever waits finds that out by asking something else.
 */
export class S3Taking implements Taking {
  private readonly missing = new Map<string, Wanted>();
  /** Requests on their way, by what becomes of them. */
  private readonly running = new Set<Promise<unknown>>();
  private attended = false;
  private stopped = false;
  private looks = 0;
  private looking = false;
  /** How long the last one took. */
  private lookMs = 0;
  private turn = 0;
  private hasNews = true;
  private newsAtMs = 0;
  private glancedAtMs = -Infinity;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly parts: S3Parts,
    private readonly taker: Taker,
  ) {}

  want(values: readonly Wanted[]): void {
    for (const value of values) this.missing.set(value.name, value);
    this.hasNews = true;
    this.lookOn();
  }

  glance(): void {
    const nowMs = performance.now();
    if (nowMs - this.glancedAtMs < this.parts.glanceMs) return;
    this.glancedAtMs = nowMs;
    this.look();
  }

  attend(waits: boolean): void {
    this.attended = waits;
    if (!waits) return this.pause();
    this.newsAtMs = performance.now();
    this.hasNews = true;
    this.lookOn();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.pause();
    while (this.running.size > 0) await Promise.allSettled(this.running);
  }

  /** Looks as long as somebody waits: at once where there is news. */
  private lookOn(): void {
    if (!this.attended) return;
    if (this.hasNews) return this.look();
    const waitedMs = performance.now() - this.newsAtMs;
    this.timer ??= setTimeout(() => this.look(), Math.max(pauseAfterMs(waitedMs), this.lookMs));
  }

  private look(): void {
    if (this.looking || this.stopped || this.missing.size === 0) return;
    this.pause();
    this.looking = true;
    const startMs = performance.now();
    const work = this.lookOnce().finally(() => {
      this.lookMs = performance.now() - startMs;
      this.looking = false;
    });
    this.track(work.then(() => this.lookOn()));
  }

  private pause(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  /** Ends when every request has found its value, or none: what is found is then still coming. */
  private async lookOnce(): Promise<void> {
    this.parts.traffic.requests++;
    const asksAll = this.hasNews;
    this.hasNews = false;
    // From 1: the first look is at one folder, the fourth at all.
    const groups = groupsOfLook(++this.looks, [...this.missing.keys()]);
    const isWide = groups.length > 1;
    await Promise.all(
      groups.map(async ({ keyPrefix, names }) => {
        if (keyPrefix === undefined) return Promise.all((asksAll || isWide ? names : this.someOf(names)).map((name) => this.ask(name)));
        const there: string[] = [];
        try {
          for await (const { name } of this.parts.requests.pages(keyPrefix, { patienceMs: 0 })) if (this.missing.has(name)) there.push(name);
        } catch (error) {
          this.trouble(error);
        }
        return Promise.all(there.map((name) => this.ask(name)));
      }),
    );
  }

  private someOf(names: readonly string[]): readonly string[] {
    this.turn += scouts;
    return names.length <= scouts ? names : Array.from({ length: scouts }, (_, i) => names[(this.turn + i) % names.length]!);
  }

  /** Resolves when it is known whether the value is there; its bytes may still be coming. */
  private ask(name: string): Promise<void> {
    const wanted = this.missing.get(name);
    if (!wanted || this.stopped) return Promise.resolve();
    this.missing.delete(name);
    return new Promise((resolve) => this.track(this.bring(wanted, resolve).finally(resolve)));
  }

  private async bring(wanted: Wanted, found: () => void): Promise<void> {
    const { name } = wanted;
    let isThere = false;
    const onFound = () => {
      isThere = true;
      this.hasNews = true;
      this.newsAtMs = performance.now();
      found();
    };
    try {
      const came = wanted.room ? await this.read(wanted, wanted.room, onFound) : await this.see(name, onFound);
      if (this.stopped) return;
      if (came) return this.taker.taken(name);
      if (isThere) this.taker.gone(name);
    } catch (error) {
      this.trouble(error);
    }
    // Somebody else's to put again, or to be asked for when the server is back.
    this.missing.set(name, wanted);
    if (!this.looking) this.lookOn();
  }

  private async read({ name, bytes }: Wanted, room: (bytes: number) => Uint8Array, onFound: () => void): Promise<boolean> {
    const { reader, traffic } = this.parts;
    const roomFor = (length: number) => (bytes === undefined || bytes === length ? room(length) : undefined);
    const stored = await reader.read(name, roomFor, { patienceMs: 0 }, onFound);
    if (!stored) return false;
    if (bytes !== undefined) checkRoom(stored, { byteLength: bytes }, name);
    traffic.requests++;
    traffic.gets++;
    return true;
  }

  private async see(name: string, onFound: () => void): Promise<boolean> {
    const { requests } = this.parts;
    const head = { method: 'HEAD', key: requests.keyOf(name) } as const;
    const isThere = (await requests.ask(`looking for ${name}`, head, { patienceMs: 0, expected: isMissing })) !== undefined;
    if (isThere) onFound();
    return isThere;
  }

  /** A server that is away has no news: who waits looks again. */
  private trouble(error: unknown): void {
    if (this.stopped || (error as Partial<SmltError>).code === 'StoreUnavailable') return;
    this.stopped = true;
    this.taker.failed(error);
  }

  private track(work: Promise<unknown>): void {
    const tracked: Promise<unknown> = work.catch((error: unknown) => this.trouble(error)).finally(() => this.running.delete(tracked));
    this.running.add(tracked);
  }
}
