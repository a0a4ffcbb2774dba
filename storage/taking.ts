import type { Exchange, Taker, Taking, Wanted } from './exchange';

/** Takes values by the exchange's own waits and reads: for stores whose news is no cheaper than a wait. */
export class PlainTaking implements Taking {
  private readonly missing = new Map<string, Wanted>();
  private readonly reads = new Set<Promise<unknown>>();
  private waiting: AbortController | undefined;
  private attended = false;
  private glancing = false;
  private glancedAtMs = -Infinity;
  private ended = false;

  constructor(
    private readonly exchange: Exchange,
    private readonly taker: Taker,
    private readonly lookMs: number,
  ) {}

  want(values: readonly Wanted[]): void {
    for (const value of values) this.missing.set(value.name, value);
    if (!this.attended) return;
    if (this.waiting)
      this.waiting.abort(); // to wait for these as well
    else this.attend(true);
  }

  glance(): void {
    const { glanceMs = 0 } = this.exchange;
    const nowMs = performance.now();
    if (this.ended || this.glancing || this.missing.size === 0 || nowMs - this.glancedAtMs < glanceMs) return;
    this.glancing = true;
    this.glancedAtMs = nowMs;
    this.track(this.exchange.waitFor([...this.missing.keys()], { timeoutMs: 0 }, (name) => this.read(name)).finally(() => (this.glancing = false)));
  }

  attend(waits: boolean): void {
    this.attended = waits;
    if (!waits) this.waiting?.abort();
    else if (!this.waiting && !this.ended) this.track(this.wait());
  }

  async stop(): Promise<void> {
    this.ended = true;
    this.attend(false);
    while (this.reads.size > 0) await Promise.allSettled(this.reads);
  }

  private async wait(): Promise<void> {
    while (this.attended && !this.ended && this.missing.size > 0) {
      const { signal } = (this.waiting = new AbortController());
      try {
        await this.exchange.waitFor([...this.missing.keys()], { timeoutMs: this.lookMs, signal }, (name) => this.read(name));
      } catch (error) {
        if (!signal.aborted) throw error;
      } finally {
        this.waiting = undefined;
      }
    }
  }

  private read(name: string): void {
    const value = this.missing.get(name);
    if (!value || this.ended) return;
    this.missing.delete(name);
    this.track(
      this.bring(value).then((came) => {
        if (this.ended) return;
        if (came) return this.taker.taken(name);
        this.missing.set(name, value);
        this.taker.gone(name);
        if (this.attended) this.attend(true);
      }),
    );
  }

  private async bring({ name, bytes, room }: Wanted): Promise<boolean> {
    if (!room) return true;
    if (bytes !== undefined) return this.exchange.getInto(name, room(bytes));
    const value = await this.exchange.get(name);
    if (value) room(value.byteLength).set(value);
    return value !== undefined;
  }

  private track(work: Promise<unknown>): void {
    const tracked: Promise<unknown> = work
      .catch((error: unknown) => {
        if (this.ended) return;
        this.ended = true;
        this.attend(false);
        this.taker.failed(error);
      })
      .finally(() => this.reads.delete(tracked));
    this.reads.add(tracked);
  }
}
