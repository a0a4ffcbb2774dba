import type { Taking, Wanted } from '../../storage/exchange';
import { findNewest, isWhole, allDurable } from './resolve';
import { Detour, type Turn } from './turn';

/** One value that is read as soon as it is there. */
export interface Expected extends Wanted {
  /** Once it is in its room. */
  readonly take?: () => void;
}
interface Arriving extends Expected {
  state: 'missing' | 'coming' | 'taken';
}
export interface Until {
  readonly step: number;
  /** All that this worker has published for the step so far, asked for in a long wait. A missing one means loss. */
  readonly published: () => readonly string[];
}

/**
 * What the steps of a worker wait for: values are read as they come, also while this worker still computes, reduces or
 * waits for others of them. A value that is gone again when it is read leads to resolve.
 */
export class Arrivals {
  readonly #expected = new Map<string, Arriving>();
  #taking: Taking | undefined;
  #failure: unknown;
  /** How many of those that somebody waits for are still to come. */
  #awaited = new Set<string>();
  #wake: () => void = () => undefined;
  #hasNews = false;

  constructor(private readonly turn: Turn) {}

  /** A step begins: all of the last one's are here. */
  begin(): void {
    this.#expected.clear();
  }

  expect(values: readonly Expected[]): void {
    const { exchange, plan } = this.turn;
    this.#taking ??= exchange.take(
      { taken: (name) => this.#taken(name), gone: () => this.#fail(new Detour({ kind: 'resolve' })), failed: (error) => this.#fail(error) },
      plan.times.lookMs,
    );
    for (const value of values) this.#expected.set(value.name, { ...value, state: 'missing' });
    this.#taking.want(values.map((value) => this.#wanted(value)));
  }

  /** One look, without waiting: between two lanes. Nothing counts as missing yet. */
  glance(): void {
    this.#taking?.glance();
  }

  /** Waits until these are read; others that are expected are read on the way. */
  async until(names: readonly string[], { step, published }: Until): Promise<void> {
    this.#throwFailure();
    this.#awaited = new Set(names.filter((name) => this.#expected.get(name)!.state !== 'taken'));
    if (this.#awaited.size === 0) return;
    const { meter, plan } = this.turn;
    const { times } = plan;
    const before = meter.enter('wait');
    this.#taking!.attend(true);
    try {
      let quietSinceMs = performance.now();
      let silentSinceMs = quietSinceMs;
      let tells: boolean | undefined;
      for (;;) {
        const longMs = Math.max(times.waitMs, 2 * meter.medianStepMs);
        const untilLongMs = quietSinceMs + longMs - performance.now();
        this.#hasNews = false;
        await this.#newsWithin(Math.max(1, Math.min(untilLongMs, times.lookMs)));
        this.#throwFailure();
        if (this.#hasNews) {
          this.turn.news();
          quietSinceMs = silentSinceMs = performance.now();
        }
        if (this.#awaited.size === 0) return;
        await this.turn.lookForEnd();
        const silentMs = performance.now() - silentSinceMs;
        if (silentMs >= (times.hedgeAfterMs ?? Infinity)) tells ??= this.turn.tellsOf(step, [...this.#awaited]);
        if (tells || performance.now() - quietSinceMs >= longMs) {
          await lookAround(this.turn, step, published());
          quietSinceMs = performance.now();
        }
        // After looking around: whoever gives up has resolved first.
        if (tells || this.turn.nearLimit('wait') || performance.now() - this.turn.newsAtMs >= times.giveUpMs)
          throw new Detour({ kind: 'waiting', step, missing: [...this.#awaited] });
      }
    } finally {
      this.#taking?.attend(false);
      meter.enter(before);
    }
  }

  /** When this returns, nothing writes into anybody's buffers any more. */
  async close(): Promise<void> {
    const taking = this.#taking;
    this.#taking = undefined;
    await taking?.stop();
    for (const { state } of this.#expected.values()) if (state === 'coming') this.turn.meter.readEnds();
    this.#expected.clear();
    this.#failure = undefined;
  }

  #wanted({ name, bytes, room }: Expected): Wanted {
    if (!room) return { name };
    let given: Uint8Array | undefined;
    const giveRoom = (length: number) => {
      const one = this.#expected.get(name)!;
      if (one.state === 'missing') this.turn.meter.readBegins();
      one.state = 'coming';
      return given?.byteLength === length ? given : (given = room(length));
    };
    return { name, room: giveRoom, ...(bytes !== undefined && { bytes }) };
  }

  #taken(name: string): void {
    const one = this.#expected.get(name);
    if (!one || one.state === 'taken' || !this.#taking) return;
    const { meter } = this.turn;
    if (one.state === 'coming') meter.readEnds();
    one.state = 'taken';
    if (one.take) {
      const before = meter.enter('reduce');
      one.take();
      meter.enter(before);
    }
    this.#hasNews = true;
    if (this.#awaited.delete(name) && this.#awaited.size === 0) this.#wake();
  }

  /** Until all that are awaited are here, or something fails, or time is up. */
  #newsWithin(durationMs: number): Promise<void> {
    if (this.#awaited.size === 0 || this.#failure !== undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, durationMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#wake();
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
