import type { Assignment, RoundPlan } from '../../contracts/round';
import { names } from '../../contracts/names';
import type { Exchange } from '../../storage/exchange';
import type { ObjectStore } from '../../storage/object-store';
import type { Samples } from '../data-set';
import type { Context } from '../handler';
import { makersOf, tellerOf, type Layout } from './layout';
import type { Meter } from './telemetry';
import type { Workspace } from './workspace';

/** Leaves the flow of steps from wherever it is: to resolve, or with an answer. Not an error: nothing has failed. */
export class Detour {
  constructor(
    readonly to:
      | { readonly kind: 'resolve' }
      | { readonly kind: 'superseded' | 'spent' }
      | { readonly kind: 'waiting'; readonly step: number; readonly missing: readonly string[] },
  ) {}
}

/** One invocation of one worker: what it works with, and when it last saw something new. */
export class Turn {
  /** When the last thing that this worker waited for came. A resolve is no news. */
  newsAtMs = performance.now();
  checkpointMs = 0;
  /** Values of another host that this one took over. */
  adopted = 0;
  #lookedAtMs = -Infinity;
  #furthest = -1;

  constructor(
    readonly layout: Layout,
    readonly exchange: Exchange,
    readonly store: ObjectStore,
    readonly workspace: Workspace,
    readonly samples: Samples,
    readonly meter: Meter,
    private readonly context: Context,
    private readonly terms: Pick<Assignment, 'spendLimitMs' | 'hasTold'> = {},
  ) {}

  get plan(): RoundPlan {
    return this.layout.plan;
  }

  /** The newest step that this instance has been at. */
  get furthest(): number {
    return Math.max(this.plan.first, this.#furthest);
  }

  news(): void {
    this.newsAtMs = performance.now();
  }
  /** Only a step further than ever is news: one that is done again after a loss is not. */
  reachedStep(step: number): void {
    if (step <= this.#furthest) return;
    this.#furthest = step;
    this.news();
  }

  /** Whether it is this worker that tells of those who make these names: one of all who wait for them, and only once a round. */
  tellsOf(step: number, missing: readonly string[]): boolean {
    if (this.terms.hasTold) return false;
    const { plan, worker } = this.layout;
    return makersOf(this.layout, step, missing.slice(0, 3)).some((maker) => tellerOf(maker, plan.allocation.workers) === worker);
  }

  /** Time to a safe return: before a step, twice the longest one and the checkpoint must fit in as well. */
  nearLimit(before: 'step' | 'wait'): boolean {
    const wanted = before === 'step' ? 2 * this.meter.longestStepMs + this.checkpointMs : this.checkpointMs;
    return this.context.getRemainingTimeInMillis() < Math.max(this.plan.times.marginMs, wanted);
  }

  /** Whether its money is used up, or would be after one more step: a budget is kept by whoever spends it. */
  isSpent(after: 'now' | 'step' = 'now'): boolean {
    const ranMs = performance.now() - this.meter.startedAt;
    return ranMs + (after === 'step' ? this.meter.longestStepMs + this.checkpointMs : 0) > (this.terms.spendLimitMs ?? Infinity);
  }

  /**
   * Lambda cannot stop an instance, so it looks by itself whether it should end: its round has (once a second, or at once
   * where it must know), or its money is used up.
   */
  async lookForEnd(when: 'now' | 'nowAndThen' = 'nowAndThen'): Promise<void> {
    if (this.isSpent()) throw new Detour({ kind: 'spent' });
    const now = performance.now();
    if (when === 'nowAndThen' && now - this.#lookedAtMs < this.plan.times.lookMs) return;
    this.#lookedAtMs = now;
    if (await this.store.head(names.manifest(this.plan, this.plan.round))) throw new Detour({ kind: 'superseded' });
  }
}
