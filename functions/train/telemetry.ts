import type { Telemetry } from '../../contracts/round';

const parts = ['init', 'compute', 'upload', 'wait', 'download', 'reduce', 'other'] as const;
export type Part = (typeof parts)[number];

/** A clock that is always in exactly one part, so the parts add up to the wall time. */
export class Meter {
  readonly startedAt = performance.now();
  readonly #spentMs: Record<Part, number> = { init: 0, compute: 0, upload: 0, wait: 0, download: 0, reduce: 0, other: 0 };
  readonly #stepsMs: number[] = [];
  #part: Part = 'other';
  #since = this.startedAt;
  #reads = 0;

  /** Changes the part; answers the one before, to go back to. */
  enter(part: Part): Part {
    this.#count();
    const before = this.#part;
    this.#part = part;
    return before;
  }

  /** Reads overlap with whatever goes on; where nothing does but waiting for them, the time counts as download. */
  #count(): void {
    const now = performance.now();
    const part = this.#part === 'wait' && this.#reads > 0 ? 'download' : this.#part;
    this.#spentMs[part] += now - this.#since;
    this.#since = now;
  }

  async during<T>(part: Part, work: () => Promise<T>): Promise<T> {
    const before = this.enter(part);
    try {
      return await work();
    } finally {
      this.enter(before);
    }
  }

  /** The first bytes of a value have come; `readEnds` when it is whole, or given up. */
  readBegins(): void {
    this.#count();
    this.#reads++;
  }
  readEnds(): void {
    this.#count();
    this.#reads--;
  }

  stepDone(durationMs: number): void {
    this.#stepsMs.push(durationMs);
  }
  get steps(): number {
    return this.#stepsMs.length;
  }
  get longestStepMs(): number {
    return this.#stepsMs.reduce((longest, stepMs) => Math.max(longest, stepMs), 0);
  }
  /** Of the last few steps: the first ones of a cold instance say little about the next. */
  get medianStepMs(): number {
    const recent = this.#stepsMs.slice(-64).sort((a, b) => a - b);
    return recent[recent.length >> 1] ?? 0;
  }

  read(
    traffic: Pick<Telemetry, 'bytesWritten' | 'bytesRead' | 'requests' | 'storeRequests' | 'adopted' | 'cpuClass' | 'cold' | 'peakRssMib'>,
  ): Telemetry {
    this.#count();
    const spent = this.#spentMs;
    return {
      steps: this.steps,
      wallMs: parts.reduce((sum, part) => sum + spent[part], 0),
      initMs: spent.init,
      computeMs: spent.compute,
      uploadMs: spent.upload,
      waitMs: spent.wait,
      downloadMs: spent.download,
      reduceMs: spent.reduce,
      otherMs: spent.other,
      medianStepMs: this.medianStepMs,
      longestStepMs: this.longestStepMs,
      ...traffic,
    };
  }
}
