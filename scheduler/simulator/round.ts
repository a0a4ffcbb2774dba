import type { Draws } from './draws';
import { EventHeap } from './event-heap';
import type { Instances } from './instances';
import type { Ending, InvocationLedger } from './ledger';
import { SharedLink } from './shared-link';
import type { SlowEpisodes } from './slow-episodes';
import type { StepPhases } from './step-phases';
import { changedBy, computeMsOf, type World } from './world';

/** What outlives a round. */
export interface Machinery {
  readonly world: World;
  readonly draws: Draws;
  readonly instances: Instances;
  readonly ledger: InvocationLedger;
  readonly episodes: SlowEpisodes;
  readonly counts: Counts;
}
/** What happened, over all rounds. */
export interface Counts {
  restarts: number;
  crashes: number;
  throttles: number;
  duplicates: number;
  lostValues: number;
  /** Time of invocations whose work nobody used. */
  lostMs: number;
  /** Time that workers computed. */
  computeMs: number;
  /** Samples whose gradients are in completed steps. */
  mergedSamples: number;
  movedBytes: number;
  puts: number;
  gets: number;
}
export const noCounts = (): Counts => ({
  ...{ restarts: 0, crashes: 0, throttles: 0, duplicates: 0, lostValues: 0 },
  ...{ lostMs: 0, computeMs: 0, mergedSamples: 0, movedBytes: 0, puts: 0, gets: 0 },
});

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
}
export interface RoundOutcome {
  readonly endMs: number;
  /** Ends of the steps that were completed. */
  readonly stepEndsMs: Float64Array;
  /** When the first worker was ready. */
  readonly readyMs: number;
  /** Of the worker that computed longest, over the whole round. */
  readonly partsMs: { readonly compute: number; readonly upload: number; readonly wait: number; readonly merge: number; readonly download: number };
  readonly longestInitMs: number;
  readonly isCold: boolean;
  readonly trouble?: 'outOfMemory' | 'timedOut' | 'stopped' | 'crashing';
}

/** Event types; an event is `worker * TYPES + type`. */
const TYPES = 8;
const [READY, COMPUTED, MOVE, INVOKE, CRASH, LIMIT] = [0, 1, 2, 3, 4, 5];
/** What a worker is doing. */
const [STARTING, COMPUTING, MOVING, WAITING, ENDED] = [0, 1, 2, 3, 4];
const PART = { compute: 0, upload: 1, merge: 2, download: 3, wait: 4 } as const;
const PARTS = 5;

const HOUR_MS = 3_600_000;
/** More than any number of steps. */
const TRIES_APART = 100_000_007;
/** Kept of the time limit to stop at a step's border. Source: rules, section 6. */
const DRAIN_MS = 30_000;
/** After a refused or dead invocation, doubled each time. Source: contracts/worker-turns.ts. */
const BACKOFF_MS = 50;
const MOST_BACKOFF_MS = 5_000;
/** How long others look for a value before they ask for it again. */
const LOST_VALUE_MS = 1_000;
/** Of one worker in a round. Source: contracts/worker-turns.ts. */
const MOST_CRASHES = 5;

/**
 * One round of one cluster as discrete events.
 * Invariants: (1) a step is complete when every worker has published its part of it, once; (2) a worker that dies does its
 * unpublished part again, published parts stay; (3) every invocation is charged exactly once, from its start to its end.
 */
export class SimulatedRound {
  readonly #events = new EventHeap();
  readonly #link: SharedLink;
  readonly #phases: StepPhases['phases'];
  /** Steps begun, and phases of the step that each worker has ended. */
  readonly #step: Int32Array;
  readonly #ended: Int8Array;
  readonly #doing: Int8Array;
  readonly #since: Float64Array;
  readonly #parts: Float64Array;
  readonly #serial: Int32Array;
  readonly #startMs: Float64Array;
  readonly #invocation: Int32Array;
  readonly #crashesOf: Int32Array;
  readonly #refusals: Int32Array;
  readonly #slowness: Float64Array;
  readonly #baseMs: Float64Array;
  readonly #stepBeganMs: Float64Array;
  readonly #longestStepMs: Float64Array;
  /** How many workers have ended phase p of the step that is being made. */
  readonly #arrived = new Int32Array(3);
  readonly #stepEndsMs: Float64Array;
  /** Steps of the running invocation; the step whose lost value each worker wrote last, plus 1. */
  readonly #madeSteps: Int32Array;
  readonly #rewritten: Int32Array;
  #endMs: number;
  #complete = 0;
  #finished = 0;
  #nowMs: number;
  #readyMs = Infinity;
  #longestInitMs = 0;
  #isCold = false;
  #trouble: RoundOutcome['trouble'];

  constructor(
    private readonly machinery: Machinery,
    private readonly order: RoundOrder,
    private readonly plan: StepPhases,
  ) {
    const { world, draws } = machinery;
    const { workers: n, memoryMib, steps } = order;
    const own = Math.min(1, Math.sqrt(world.workers.vcpus(memoryMib))) * world.exchange.workerBytesPerMs;
    const spread = { median: own, sd: world.faults.bandwidthSd };
    const bandwidth = Float64Array.from({ length: n }, (_, worker) => draws.logNormal('bandwidth', worker, 0, spread));
    this.#link = new SharedLink(bandwidth, world.exchange.storeBytesPerMs);
    this.#phases = plan.phases;
    this.#step = new Int32Array(n);
    this.#ended = new Int8Array(n);
    this.#doing = new Int8Array(n);
    this.#since = new Float64Array(n).fill(order.atMs);
    this.#parts = new Float64Array(PARTS * n);
    this.#serial = new Int32Array(n);
    this.#startMs = new Float64Array(n).fill(-1);
    this.#invocation = new Int32Array(n);
    this.#crashesOf = new Int32Array(n);
    this.#refusals = new Int32Array(n);
    this.#slowness = new Float64Array(n).fill(1);
    this.#baseMs = plan.shares.map((share) => computeMsOf(world, share * order.batchSize, memoryMib));
    this.#stepBeganMs = new Float64Array(n);
    this.#longestStepMs = new Float64Array(n);
    this.#stepEndsMs = new Float64Array(steps);
    this.#madeSteps = new Int32Array(n);
    this.#rewritten = new Int32Array(n);
    this.#nowMs = order.atMs;
    this.#endMs = order.atMs;
  }

  run(): RoundOutcome {
    const { world, episodes, counts } = this.machinery;
    const { workers, atMs, stopAtMs } = this.order;
    const wholeMs = world.workers.startMs(workers);
    for (let worker = 0; worker < workers; worker += 1)
      this.#events.push(atMs + wholeMs + world.workers.startSpreadMs * worker, worker * TYPES + INVOKE, 0);
    this.#slowDownLink();
    while (this.#finished < workers) {
      const eventMs = this.#events.nextMs;
      const linkMs = this.#link.nextMs;
      const nextMs = Math.min(eventMs, linkMs);
      if (nextMs >= stopAtMs) {
        this.#nowMs = Math.max(this.#nowMs, stopAtMs);
        this.#cut('stopped');
        break;
      }
      if (episodes.nextMs <= nextMs) {
        this.#nowMs = Math.max(this.#nowMs, episodes.nextMs);
        episodes.change();
        this.#slowDownLink();
        continue;
      }
      this.#nowMs = nextMs;
      if (linkMs < eventMs) {
        const worker = this.#link.pop(nextMs);
        if (worker >= 0) this.#moved(worker);
      } else this.#handle(this.#events.pop());
      if (this.#trouble !== undefined) {
        this.#cut(this.#trouble);
        break;
      }
    }
    counts.movedBytes += this.#link.movedBytes;
    counts.puts += this.#complete * this.plan.puts;
    counts.gets += this.#complete * this.plan.gets;
    return this.#outcome();
  }

  #handle(event: number): void {
    const worker = Math.floor(event / TYPES);
    const type = event % TYPES;
    if (type === INVOKE) return this.#invoke(worker);
    // What was to happen to an invocation that has ended meanwhile does not.
    if (this.#events.mark !== this.#invocation[worker] || this.#doing[worker] === ENDED) return;
    if (type === READY) return this.#ready(worker);
    if (type === COMPUTED) return this.#computed(worker);
    if (type === MOVE) return this.#move(worker);
    if (type === CRASH) return this.#crash(worker);
    if (type === LIMIT) this.#trouble = 'timedOut';
  }

  #invoke(worker: number): void {
    const { world, draws, counts, instances, ledger } = this.machinery;
    const { memoryMib, firstStep } = this.order;
    const { faults, workers: kind } = world;
    const attempt = 1_000 * firstStep + this.#invocation[worker]! + this.#refusals[worker]!;
    if (faults.throttled > 0 && draws.uniform('throttle', worker, attempt) < faults.throttled) {
      counts.throttles += 1;
      this.#events.push(this.#nowMs + backoffMs(this.#refusals[worker]!++), worker * TYPES + INVOKE, 0);
      return;
    }
    const { serial, isCold } = instances.take(memoryMib, this.#nowMs);
    const mark = this.#invocation[worker]!;
    this.#serial[worker] = serial;
    this.#startMs[worker] = this.#nowMs;
    this.#doing[worker] = STARTING;
    this.#slowness[worker] =
      draws.uniform('slowInstance', serial, 0) < faults.slowInstances ? 1.2 + 0.3 * draws.uniform('slowInstance', serial, 1) : 1;
    const initMs = isCold ? draws.logNormal('cold', serial, 0, { median: faults.coldStartMs, sd: faults.coldStartSd }) : 0;
    this.#isCold ||= isCold;
    this.#longestInitMs = Math.max(this.#longestInitMs, initMs);
    const isFresh = this.#step[worker] === 0 && this.#ended[worker] === 0;
    const reloadMs = isFresh && !isCold ? 0 : world.work.reloadBytes / world.exchange.workerBytesPerMs;
    const readyMs = this.#nowMs + initMs + world.turnMs / 2 + reloadMs;
    this.#events.push(readyMs, worker * TYPES + READY, mark);
    if (faults.crashesPerHour > 0) {
      const crashMs = draws.exponential('crash', worker, attempt, HOUR_MS / faults.crashesPerHour);
      if (crashMs < kind.limitMs) this.#events.push(this.#nowMs + crashMs, worker * TYPES + CRASH, mark);
    }
    if (kind.limitMs < Infinity) this.#events.push(this.#nowMs + kind.limitMs, worker * TYPES + LIMIT, mark);
    if (faults.duplicates > 0 && draws.uniform('duplicate', worker, attempt) < faults.duplicates) {
      // The second copy finds that the first one has its place, and ends.
      counts.duplicates += 1;
      ledger.add({ worker, memoryMib, startMs: this.#nowMs, endMs: this.#nowMs + faults.coldStartMs + world.turnMs, ending: 'superseded' });
    }
  }

  #ready(worker: number): void {
    if (this.machinery.world.work.peakMemoryMib > this.order.memoryMib) {
      this.#trouble = 'outOfMemory';
      return;
    }
    this.#readyMs = Math.min(this.#readyMs, this.#nowMs);
    this.#since[worker] = this.#nowMs;
    this.#stepBeganMs[worker] = this.#nowMs;
    this.#goOn(worker);
  }

  /** Begins what comes next for this worker: a new step, a phase, a wait, or the end of its invocation. */
  #goOn(worker: number): void {
    const done = this.#ended[worker]!;
    if (done === 0) {
      if (this.#step[worker] === this.order.steps) return this.#end(worker, 'done');
      if (this.#isNearLimit(worker)) return this.#restart(worker);
      return this.#compute(worker);
    }
    // Published already; the others' part of the phase before may be missing still.
    if (this.#arrived[done - 1]! < this.order.workers && this.#step[worker] === this.#complete) {
      this.#doing[worker] = WAITING;
      return;
    }
    this.#beginPhase(worker, done);
  }

  #compute(worker: number): void {
    const { world, draws } = this.machinery;
    const { faults, changes } = world;
    const step = this.order.firstStep + this.#step[worker]!;
    this.#doing[worker] = COMPUTING;
    this.#stepBeganMs[worker] = this.#nowMs;
    let ms = this.#baseMs[worker]! * this.#slowness[worker]!;
    const luckOf = step + TRIES_APART * (this.order.attempt + this.#crashesOf[worker]!);
    if (faults.computeSd > 0) ms *= Math.exp(faults.computeSd * draws.normal('compute', worker, luckOf));
    if (faults.stragglers > 0) {
      const luck = draws.uniform('straggler', worker, luckOf);
      if (luck < faults.stragglers) ms *= 1.5 + (2.5 * luck) / faults.stragglers;
    }
    if (changes.length > 0) ms *= changedBy(changes, this.#nowMs, 'compute');
    this.#events.push(this.#nowMs + ms, worker * TYPES + COMPUTED, this.#invocation[worker]!);
  }

  #computed(worker: number): void {
    this.machinery.counts.computeMs += this.#nowMs - this.#since[worker]!;
    this.#spend(worker, PART.compute);
    if (this.#phases.length > 0) return this.#beginPhase(worker, 0);
    this.#stepDone();
    this.#nextStep(worker);
  }

  #beginPhase(worker: number, phase: number): void {
    this.#doing[worker] = MOVING;
    const { latencyMs } = this.#phases[phase]!;
    this.#events.push(this.#nowMs + latencyMs, worker * TYPES + MOVE, this.#invocation[worker]!);
  }

  #move(worker: number): void {
    const bytes = this.#phases[this.#ended[worker]!]!.bytes[worker]!;
    if (bytes > 0) this.#link.start(worker, bytes, this.#nowMs);
    else this.#moved(worker);
  }

  #moved(worker: number): void {
    const { faults } = this.machinery.world;
    const phase = this.#ended[worker]!;
    const step = this.order.firstStep + this.#step[worker]!;
    this.#spend(worker, phase === 0 ? PART.upload : phase === 1 ? PART.merge : PART.download);
    const isLost = phase === 0 && faults.lostValues > 0 && this.machinery.draws.uniform('lostValue', worker, step) < faults.lostValues;
    if (isLost && this.#rewritten[worker] !== step + 1) {
      this.#rewritten[worker] = step + 1; // the second writing stays
      this.machinery.counts.lostValues += 1;
      this.#events.push(this.#nowMs + LOST_VALUE_MS, worker * TYPES + MOVE, this.#invocation[worker]!);
      return;
    }
    this.#arrive(worker, phase);
  }

  #arrive(worker: number, phase: number): void {
    if (phase === 2) return this.#nextStep(worker);
    this.#ended[worker] = phase + 1;
    this.#arrived[phase]! += 1;
    if (this.#arrived[phase]! < this.order.workers) {
      this.#doing[worker] = WAITING;
      return;
    }
    if (phase === 1) this.#stepDone();
    for (let other = 0; other < this.order.workers; other += 1) {
      if (other !== worker && (this.#doing[other] !== WAITING || this.#ended[other] !== phase + 1)) continue;
      this.#spend(other, PART.wait);
      this.#beginPhase(other, phase + 1);
    }
  }

  #stepDone(): void {
    this.#stepEndsMs[this.#complete] = this.#nowMs;
    this.#complete += 1;
    this.machinery.counts.mergedSamples += this.order.batchSize * this.#sharesArrived();
    this.#arrived.fill(0);
  }
  /** 1 when everybody's part is in the step: what the barrier is there for. */
  #sharesArrived(): number {
    if (this.#phases.length === 0) return 1;
    let share = 0;
    for (let worker = 0; worker < this.order.workers; worker += 1) if (this.#ended[worker] === 2) share += this.plan.shares[worker]!;
    return share;
  }

  #nextStep(worker: number): void {
    this.#ended[worker] = 0;
    this.#step[worker]! += 1;
    this.#madeSteps[worker]! += 1;
    this.#longestStepMs[worker] = Math.max(this.#longestStepMs[worker]!, this.#nowMs - this.#stepBeganMs[worker]!);
    this.#goOn(worker);
  }

  #isNearLimit(worker: number): boolean {
    const { limitMs } = this.machinery.world.workers;
    if (limitMs === Infinity || this.#madeSteps[worker] === 0) return false;
    return this.#nowMs - this.#startMs[worker]! + 2 * this.#longestStepMs[worker]! + DRAIN_MS > limitMs;
  }

  #restart(worker: number): void {
    this.machinery.counts.restarts += 1;
    this.#close(worker, 'reached', this.#nowMs);
    this.#events.push(this.#nowMs + this.machinery.world.turnMs, worker * TYPES + INVOKE, 0);
  }

  #crash(worker: number): void {
    const { counts } = this.machinery;
    counts.crashes += 1;
    if (this.#ended[worker] === 0) counts.lostMs += this.#nowMs - this.#stepBeganMs[worker]!;
    this.#link.cancel(worker, this.#nowMs);
    this.#close(worker, 'crashed', this.#nowMs);
    if (++this.#crashesOf[worker]! > MOST_CRASHES) this.#trouble = 'crashing';
    this.#events.push(this.#nowMs + backoffMs(this.#crashesOf[worker]!), worker * TYPES + INVOKE, 0);
  }

  #end(worker: number, ending: Ending): void {
    this.#finished += 1;
    this.#close(worker, ending, this.#nowMs + this.machinery.world.turnMs / 2);
  }

  #cut(why: NonNullable<RoundOutcome['trouble']>): void {
    this.#trouble = why;
    for (let worker = 0; worker < this.order.workers; worker += 1)
      if (this.#startMs[worker]! >= 0) this.#close(worker, why === 'outOfMemory' || why === 'timedOut' ? why : 'superseded', this.#nowMs);
  }

  #close(worker: number, ending: Ending, endMs: number): void {
    const { ledger, instances } = this.machinery;
    const { memoryMib } = this.order;
    ledger.add({ worker, memoryMib, startMs: this.#startMs[worker]!, endMs, ending });
    if (ending === 'done' || ending === 'reached' || ending === 'superseded') instances.giveBack(memoryMib, this.#serial[worker]!, endMs);
    this.#startMs[worker] = -1;
    this.#doing[worker] = ENDED;
    this.#madeSteps[worker] = 0;
    this.#invocation[worker]! += 1;
    this.#endMs = Math.max(this.#endMs, endMs);
  }

  #spend(worker: number, part: number): void {
    this.#parts[PARTS * worker + part]! += this.#nowMs - this.#since[worker]!;
    this.#since[worker] = this.#nowMs;
  }
  #slowDownLink(): void {
    const { episodes, world } = this.machinery;
    this.#link.slowDown(episodes.factor * changedBy(world.changes, this.#nowMs, 'exchange'), this.#nowMs);
  }

  #outcome(): RoundOutcome {
    const { workers } = this.order;
    let slowest = 0;
    for (let worker = 1; worker < workers; worker += 1) if (this.#parts[PARTS * worker]! > this.#parts[PARTS * slowest]!) slowest = worker;
    const part = (name: keyof typeof PART) => this.#parts[PARTS * slowest + PART[name]]!;
    return {
      endMs: this.#endMs,
      stepEndsMs: this.#stepEndsMs.slice(0, this.#complete),
      readyMs: this.#readyMs,
      partsMs: { compute: part('compute'), upload: part('upload'), wait: part('wait'), merge: part('merge'), download: part('download') },
      longestInitMs: this.#longestInitMs,
      isCold: this.#isCold,
      ...(this.#trouble && { trouble: this.#trouble }),
    };
  }
}

const backoffMs = (attempts: number): number => Math.min(MOST_BACKOFF_MS, BACKOFF_MS * 2 ** attempts);
