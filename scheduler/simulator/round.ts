import type { Part } from './crew';
import { RoundState, type Machinery, type RoundOrder, type Trouble } from './round-state';
import type { StepPhases } from './step-phases';
import { Steps } from './steps';
import { Turns } from './turns';
import { changedBy } from './world';

export interface RoundOutcome {
  readonly endMs: number;
  /** Ends of the steps that were completed. */
  readonly stepEndsMs: Float64Array;
  /** When the first worker was ready. */
  readonly readyMs: number;
  /** Of the worker that computed longest, over the whole round. */
  readonly partsMs: Readonly<Record<Part, number>>;
  readonly longestInitMs: number;
  readonly isCold: boolean;
  readonly trouble?: Trouble;
}

/**
 * One round of one cluster as discrete events.
 * Invariants: (1) a step is complete when every worker has published its part of it, once; (2) a worker that dies does its
 * unpublished part again, published parts stay; (3) every invocation is charged exactly once, from its start to its end.
 */
export function simulateRound(machinery: Machinery, order: RoundOrder, plan: StepPhases): RoundOutcome {
  const state = new RoundState(machinery, order, plan);
  const turns = new Turns(state);
  const steps = new Steps(state, turns);
  turns.begin();
  slowDownLink(state);
  while (turns.finished < order.workers) {
    next(state, turns, steps);
    if (state.trouble === undefined) continue;
    turns.cut(state.trouble);
    break;
  }
  turns.chargeCopies();
  const { counts } = machinery;
  counts.movedBytes += state.link.movedBytes;
  counts.puts += steps.complete * plan.puts;
  counts.gets += steps.complete * plan.gets;
  return {
    endMs: state.endMs,
    stepEndsMs: steps.endsMs(),
    readyMs: turns.readyMs,
    partsMs: state.crew.slowestPartsMs(),
    longestInitMs: turns.longestInitMs,
    isCold: turns.isCold,
    ...(state.trouble && { trouble: state.trouble }),
  };
}

/** Whatever is due first: the round's end, a change of the store's speed, a transfer's end, or an event. */
function next(state: RoundState, turns: Turns, steps: Steps): void {
  const { episodes } = state.machinery;
  const eventMs = state.events.nextMs;
  const linkMs = state.link.nextMs;
  const nextMs = Math.min(eventMs, linkMs);
  if (nextMs >= state.order.stopAtMs) {
    state.nowMs = Math.max(state.nowMs, state.order.stopAtMs);
    state.trouble = 'stopped';
    return;
  }
  if (episodes.nextMs <= nextMs) {
    state.nowMs = Math.max(state.nowMs, episodes.nextMs);
    episodes.change();
    slowDownLink(state);
    return;
  }
  state.nowMs = nextMs;
  if (linkMs < eventMs) {
    const worker = state.link.pop(nextMs);
    if (worker >= 0) steps.moved(worker);
    return;
  }
  const event = state.takeEvent();
  if (event === undefined) return;
  const { worker, type } = event;
  switch (type) {
    case 'invoke':
      return turns.invoke(worker);
    case 'ready':
      if (turns.ready(worker)) steps.goOn(worker);
      return;
    case 'computed':
      return steps.computed(worker);
    case 'move':
      return steps.move(worker);
    case 'crash':
      return turns.crash(worker);
    case 'limit':
      state.trouble = 'timedOut';
      return;
    case 'spent':
      state.trouble = 'spent';
  }
}

function slowDownLink({ machinery, link, nowMs }: RoundState): void {
  const { episodes, world } = machinery;
  link.slowDown(episodes.factor * changedBy(world.changes, nowMs, 'exchange'), nowMs);
}
