import type { Draws } from './draws';
import type { Faults } from './world';

const HOUR_MS = 3_600_000;
const MEAN_LENGTH_MS = 60_000;

/** When the store is slow: the same moments whatever is run meanwhile. */
export class SlowEpisodes {
  #index = 0;
  #isSlow = false;
  /** When the store's state changes next; Infinity: never. */
  nextMs: number;

  constructor(
    private readonly faults: Faults,
    private readonly draws: Draws,
  ) {
    this.nextMs = faults.slowStorePerHour > 0 ? draws.exponential('episode', 0, 0, HOUR_MS / faults.slowStorePerHour) : Infinity;
  }

  get factor(): number {
    return this.#isSlow ? this.faults.slowStoreFactor : 1;
  }
  /** Goes over to the next state. */
  change(): void {
    this.#isSlow = !this.#isSlow;
    this.#index += 1;
    const meanMs = this.#isSlow ? MEAN_LENGTH_MS : HOUR_MS / this.faults.slowStorePerHour;
    this.nextMs += this.draws.exponential('episode', 0, this.#index, meanMs);
  }
}
