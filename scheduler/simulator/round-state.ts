import type { Counts } from './counts';
import { Crew, doings } from './crew';
import type { Draws } from './draws';
import { EventHeap } from './event-heap';
import type { Instances } from './instances';
import type { InvocationLedger } from './ledger';
import { SharedLink } from './shared-link';
import type { SlowEpisodes } from './slow-episodes';
import type { StepPhases } from './step-phases';
import type { World } from './world';

/** What outlives a round. */
export interface Machinery {
  readonly world: World;
  readonly draws: Draws;
  readonly instances: Instances;
  readonly ledger: InvocationLedger;
  readonly episodes: SlowEpisodes;
  readonly counts: Counts;
}
export interface RoundOrder {
  readonly workers: number;
  readonly memoryMib: number;
  readonly firstStep: number;
  readonly steps: number;
  readonly batchSize: number;
  /** Rounds before it that made no step: what is tried again has new luck. */
  readonly attempt: number;
  readonly atMs: number;
  /** The round is cut at this moment, whatever is going on. */
  readonly stopAtMs: number;
  /** How long each worker may run before the round ends for the money's sake. */
  readonly spendLimitMs: number;
  /** A worker that others have waited for so long gets a second copy; Infinity: none does. */
  readonly hedgeAfterMs: number;
}
export type Trouble = 'outOfMemory' | 'timedOut' | 'stopped' | 'crashing' | 'spent';

/** What is due for a worker: to be invoked, to be ready, to have computed, to send, to crash, to be at its time limit, to have used its money up. */
const types = ['ready', 'computed', 'move', 'invoke', 'crash', 'limit', 'spent'] as const;
export type EventType = (typeof types)[number];
/** An event is `worker * EVENT_BASE + type`. */
const EVENT_BASE = 8;
const CODE = { ready: 0, computed: 1, move: 2, invoke: 3, crash: 4, limit: 5, spent: 6 } as const satisfies Record<EventType, number>;

/** A round under way: what its invocations (`turns.ts`) and its steps (`steps.ts`) both change. */
export class RoundState {
  readonly events = new EventHeap();
  readonly link: SharedLink;
  readonly crew: Crew;
  nowMs: number;
  /** When the last invocation ended. */
  endMs: number;
  trouble: Trouble | undefined;

  constructor(
    readonly machinery: Machinery,
    readonly order: RoundOrder,
    readonly plan: StepPhases,
  ) {
    const { world, draws } = machinery;
    const { workers, memoryMib, atMs } = order;
    const own = Math.min(1, Math.sqrt(world.workers.vcpus(memoryMib))) * world.exchange.workerBytesPerMs;
    const spread = { median: own, sd: world.faults.bandwidthSd };
    const bandwidth = Float64Array.from({ length: workers }, (_, worker) => draws.logNormal('bandwidth', worker, 0, spread));
    this.link = new SharedLink(bandwidth, world.exchange.storeBytesPerMs);
    this.crew = new Crew(workers, atMs);
    this.nowMs = atMs;
    this.endMs = atMs;
  }

  /** For the worker's running invocation: when that ends before, it does not happen. */
  schedule(type: Exclude<EventType, 'invoke'>, worker: number, atMs: number): void {
    this.events.push(atMs, worker * EVENT_BASE + CODE[type], this.crew.invocation[worker]!);
  }
  scheduleInvoke(worker: number, atMs: number): void {
    this.events.push(atMs, worker * EVENT_BASE + CODE.invoke, 0);
  }
  /** The next event, taken out; undefined for one whose invocation has ended meanwhile. */
  takeEvent(): { readonly worker: number; readonly type: EventType } | undefined {
    const event = this.events.pop();
    const worker = Math.floor(event / EVENT_BASE);
    const type = types[event % EVENT_BASE]!;
    const isOver = this.events.mark !== this.crew.invocation[worker] || this.crew.doing[worker] === doings.ended;
    return type !== 'invoke' && isOver ? undefined : { worker, type };
  }
}
