import { nanoUsd } from '../../contracts/units';
import type { WorkerKind } from './world';

/** How an invocation ended. */
export const endings = ['done', 'reached', 'crashed', 'outOfMemory', 'timedOut', 'superseded'] as const;
export type Ending = (typeof endings)[number];

export interface InvocationRecord {
  readonly worker: number;
  readonly memoryMib: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly ending: Ending;
}

/** Every invocation as the platform charges it, on typed arrays: a day of 1,000 workers has 100,000 of them. */
export class InvocationLedger {
  #columns = new Float64Array(5 * 1_024);
  count = 0;
  computeNanoUsd = 0;
  requestsNanoUsd = 0;
  billedMs = 0;
  gbSeconds = 0;

  constructor(private readonly kind: WorkerKind) {}

  add({ worker, memoryMib, startMs, endMs, ending }: InvocationRecord): void {
    if (5 * (this.count + 1) > this.#columns.length) {
      const grown = new Float64Array(2 * this.#columns.length);
      grown.set(this.#columns);
      this.#columns = grown;
    }
    this.#columns.set([worker, memoryMib, startMs, endMs, endings.indexOf(ending)], 5 * this.count);
    this.count += 1;
    const billedMs = billedMsOf(this.kind, startMs, endMs);
    this.billedMs += billedMs;
    this.gbSeconds += (billedMs / 1_000) * (memoryMib / 1_024);
    this.computeNanoUsd += nanoUsd(billedMs * this.kind.usdPerMs(memoryMib));
    this.requestsNanoUsd += nanoUsd(this.kind.usdPerStart);
  }

  at(i: number): InvocationRecord {
    const [worker, memoryMib, startMs, endMs, ending] = this.#columns.subarray(5 * i, 5 * i + 5);
    return { worker: worker!, memoryMib: memoryMib!, startMs: startMs!, endMs: endMs!, ending: endings[ending!]! };
  }
  list(): InvocationRecord[] {
    return Array.from({ length: this.count }, (_, i) => this.at(i));
  }
}

/** Whole milliseconds, at least the least: as AWS charges. */
export const billedMsOf = ({ leastBilledMs }: Pick<WorkerKind, 'leastBilledMs'>, startMs: number, endMs: number): number =>
  Math.max(leastBilledMs, Math.ceil(endMs - startMs));
