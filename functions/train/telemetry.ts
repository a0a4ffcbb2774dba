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
  #fetches = 0;
  #beforeFetches: Part = 'other';

  /** Changes the part; answers the one before, to go back to. */
  enter(part: Part): Part {
    const now = performance.now();
    this.#spentMs[this.#part] += now - this.#since;
    this.#since = now;
    const before = this.#part;
    this.#part = part;
    return before;
  }

  async during<T>(part: Part, work: () => Promise<T>): Promise<T> {
    const before = this.enter(part);
    try {
      return await work();
    } finally {
      this.enter(before);
    }
  }

  /** Reads overlap with the wait they end: while any of them runs, the time counts as download. */
  async fetching<T>(work: () => Promise<T>): Promise<T> {
    if (this.#fetches++ === 0) this.#beforeFetches = this.enter('download');
    try {
      return await work();
    } finally {
      if (--this.#fetches === 0) this.enter(this.#beforeFetches);
    }
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
    this.enter(this.#part);
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
