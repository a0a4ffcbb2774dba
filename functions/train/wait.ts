import { findNewest, isWhole, allDurable } from './resolve';
import { Detour, type Turn } from './turn';

/** One value that is read as soon as it is there. */
export interface Expected {
  readonly name: string;
  /** Asked for when the read begins. Left out: that it is there is enough. */
  readonly into?: () => Uint8Array;
  readonly take?: () => void;
  /** Instead of both, where its length is not known before. */
  readonly takeBytes?: (bytes: Uint8Array) => void;
}
interface Reading extends Expected {
  state: 'missing' | 'seen' | 'read';
}
const nothing = () => undefined;
export interface Until {
  readonly step: number;
  /** All that this worker has published for the step so far. A missing one means loss. */
  readonly published: readonly string[];
}

/**
 * What one step of a worker waits for: values are read as they come, also while this worker still computes, reduces or
 * waits for others of them. A value that is gone again when it is read leads to resolve.
 */
export class Arrivals {
  readonly #expected = new Map<string, Reading>();
  readonly #reads = new Set<Promise<void>>();
  #glancing = false;
  #glancedAtMs = -Infinity;
  #closed = false;
  #failure: unknown;
  /** Called after each read. */
  #onRead: () => void = () => undefined;

  constructor(private readonly turn: Turn) {}

  expect(one: Expected): void {
    this.#expected.set(one.name, { ...one, state: 'missing' });
  }

  /** One look, without waiting: between two lanes. Nothing counts as missing yet. */
  glance(): void {
    const missing = this.#missing([...this.#expected.keys()]);
    const { glanceMs = 0 } = this.turn.exchange;
    const nowMs = performance.now();
    if (this.#glancing || missing.length === 0 || nowMs - this.#glancedAtMs < glanceMs) return;
    this.#glancing = true;
    this.#glancedAtMs = nowMs;
    const looking = this.turn.exchange
      .waitFor(missing, { timeoutMs: 0 }, (name) => this.#read(name))
      .then(
        () => undefined,
        (error: unknown) => this.#fail(error),
      )
      .finally(() => (this.#glancing = false));
    this.#track(looking);
  }

  /** Waits until these are read; others that are expected are read on the way. */
  async until(names: readonly string[], { step, published }: Until): Promise<void> {
    const { meter, plan } = this.turn;
    const { times } = plan;
    await meter.during('wait', async () => {
      let quietSinceMs = performance.now();
      for (;;) {
        this.#throwFailure();
        const missing = this.#missing(names);
        if (missing.length === 0) break;
        const longMs = Math.max(times.waitMs, 2 * meter.medianStepMs);
        const untilLongMs = quietSinceMs + longMs - performance.now();
        let arrived = false;
        await this.#waitForAny(names, Math.max(1, Math.min(untilLongMs, times.lookMs)), () => (arrived = true));
        if (arrived) {
          this.turn.news();
          quietSinceMs = performance.now();
        }
        const still = this.#missing(names);
        if (still.length === 0) continue;
        await this.turn.lookForEnd();
        if (performance.now() - quietSinceMs >= longMs) {
          await lookAround(this.turn, step, published);
          quietSinceMs = performance.now();
        }
        // After looking around: whoever gives up has resolved first.
        if (this.turn.nearLimit('wait') || performance.now() - this.turn.newsAtMs >= times.giveUpMs)
          throw new Detour({ kind: 'waiting', step, missing: still });
      }
      const unread = () => names.some((name) => this.#expected.get(name)!.state !== 'read');
      while (unread()) {
        await new Promise<void>((resolve) => (this.#onRead = resolve));
        this.#throwFailure();
      }
    });
  }

  /** When this returns, nothing writes into anybody's buffers any more. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#reads.size > 0) await Promise.allSettled(this.#reads);
  }

  /** The store tells when all names are there; this ends as well when the ones that count are. */
  async #waitForAny(names: readonly string[], timeoutMs: number, onArrival: () => void): Promise<void> {
    const enough = new AbortController();
    try {
      await this.turn.exchange.waitFor(this.#missing([...this.#expected.keys()]), { timeoutMs, signal: enough.signal }, (name) => {
        onArrival();
        this.#read(name);
        if (this.#missing(names).length === 0) enough.abort();
      });
    } catch (error) {
      if (!enough.signal.aborted) throw error;
    }
  }

  #missing(names: readonly string[]): string[] {
    return names.filter((name) => this.#expected.get(name)!.state === 'missing');
  }

  #read(name: string): void {
    const one = this.#expected.get(name)!;
    if (this.#closed || one.state !== 'missing') return;
    const { into, take, takeBytes } = one;
    one.state = into || takeBytes ? 'seen' : 'read';
    if (one.state === 'read') return;
    const { meter, exchange } = this.turn;
    this.#track(
      meter
        .reading(async () => {
          if (into) return (await exchange.getInto(name, into())) ? (take ?? nothing) : undefined;
          const bytes = await exchange.get(name);
          return bytes && (() => takeBytes!(bytes));
        })
        .then((takeIt) => {
          if (this.#closed) return;
          if (!takeIt) return this.#fail(new Detour({ kind: 'resolve' }));
          const during = meter.enter('reduce');
          takeIt();
          meter.enter(during);
          one.state = 'read';
        })
        .catch((error: unknown) => this.#fail(error)),
    );
  }

  #track(work: Promise<void>): void {
    const tracked: Promise<void> = work.finally(() => {
      this.#reads.delete(tracked);
      this.#onRead();
    });
    this.#reads.add(tracked);
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
  }
  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/**
 * A long wait (protocol.md, section 4): waits on only when all own names are there, the own step is still whole (the
 * round's first is not asked), nobody is further, and the round has not ended. Anything else leads to resolve.
 */
export async function lookAround(turn: Turn, step: number, published: readonly string[]): Promise<void> {
  await turn.lookForEnd('now');
  const { layout, exchange, plan } = turn;
  const waitsOn =
    (await exchange.present(published)).every(Boolean) &&
    (step === plan.first || (await isWhole(exchange, layout, step))) &&
    (await findNewest(exchange, layout, step)) === undefined &&
    !(await allDurable(turn));
  if (!waitsOn) throw new Detour({ kind: 'resolve' });
}
