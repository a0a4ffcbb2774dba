import { doings } from './crew';
import type { Ending } from './ledger';
import type { RoundState, Trouble } from './round-state';

const HOUR_MS = 3_600_000;
/** Kept of the time limit to stop at a step's border. Source: rules, section 6. */
const DRAIN_MS = 30_000;
/** After a refused or dead invocation, doubled each time. Source: contracts/worker-turns.ts. */
const BACKOFF_MS = 50;
const MOST_BACKOFF_MS = 5_000;
/** Of one worker in a round. Source: contracts/worker-turns.ts. */
const MOST_CRASHES = 5;

/** The invocations of a round: how they start, crash, reach their limit and end. Each is charged exactly once, from its start to its end. */
export class Turns {
  finished = 0;
  /** When the first worker was ready. */
  readyMs = Infinity;
  longestInitMs = 0;
  isCold = false;

  constructor(private readonly state: RoundState) {}

  /** All workers of the round are asked for. */
  begin(): void {
    const { machinery, order } = this.state;
    const { workers: kind } = machinery.world;
    const wholeMs = kind.startMs(order.workers);
    for (let worker = 0; worker < order.workers; worker += 1) this.state.scheduleInvoke(worker, order.atMs + wholeMs + kind.startSpreadMs * worker);
  }

  invoke(worker: number): void {
    const { machinery, order, crew, nowMs } = this.state;
    const { world, draws, counts, instances, ledger } = machinery;
    const { faults, workers: kind } = world;
    const { memoryMib } = order;
    const attempt = 1_000 * order.firstStep + crew.invocation[worker]! + crew.refusals[worker]!;
    if (faults.throttled > 0 && draws.uniform('throttle', worker, attempt) < faults.throttled) {
      counts.throttles += 1;
      this.state.scheduleInvoke(worker, nowMs + backoffMs(crew.refusals[worker]!++));
      return;
    }
    const { serial, isCold } = instances.take(memoryMib, nowMs);
    crew.serial[worker] = serial;
    crew.startMs[worker] = nowMs;
    crew.doing[worker] = doings.starting;
    crew.slowness[worker] =
      draws.uniform('slowInstance', serial, 0) < faults.slowInstances ? 1.2 + 0.3 * draws.uniform('slowInstance', serial, 1) : 1;
    const initMs = isCold ? draws.logNormal('cold', serial, 0, { median: faults.coldStartMs, sd: faults.coldStartSd }) : 0;
    this.isCold ||= isCold;
    this.longestInitMs = Math.max(this.longestInitMs, initMs);
    const isFresh = crew.steps[worker] === 0 && crew.phases[worker] === 0;
    const reloadMs = isFresh && !isCold ? 0 : world.work.reloadBytes / world.exchange.workerBytesPerMs;
    this.state.schedule('ready', worker, nowMs + initMs + world.turnMs / 2 + reloadMs);
    if (faults.crashesPerHour > 0) {
      const crashMs = draws.exponential('crash', worker, attempt, HOUR_MS / faults.crashesPerHour);
      if (crashMs < kind.limitMs) this.state.schedule('crash', worker, nowMs + crashMs);
    }
    if (kind.limitMs < Infinity) this.state.schedule('limit', worker, nowMs + kind.limitMs);
    if (order.spendLimitMs < Infinity) this.state.schedule('spent', worker, Math.max(nowMs, nowMs + order.spendLimitMs - crew.billedMs[worker]!));
    if (faults.duplicates > 0 && draws.uniform('duplicate', worker, attempt) < faults.duplicates) {
      // The second copy finds that the first one has its place, and ends.
      counts.duplicates += 1;
      ledger.add({ worker, memoryMib, startMs: nowMs, endMs: nowMs + faults.coldStartMs + world.turnMs, ending: 'superseded' });
    }
  }

  /** @returns whether it has the memory to go on */
  ready(worker: number): boolean {
    const { machinery, order, crew, nowMs } = this.state;
    if (machinery.world.work.peakMemoryMib > order.memoryMib) {
      this.state.trouble = 'outOfMemory';
      return false;
    }
    this.readyMs = Math.min(this.readyMs, nowMs);
    crew.startClock(worker, nowMs);
    return true;
  }

  /**
   * How long a step's computing takes where its worker gets a second copy once others have waited long enough: they are
   * about as far when it should be. The copy starts cold, and does the step again; from then on the faster one counts.
   */
  withCopy(worker: number, ms: number, usualMs: number): number {
    const { machinery, order, crew, nowMs } = this.state;
    const { faults, work, exchange } = machinery.world;
    const fromMs = Math.min(crew.copiedMs[worker]!, nowMs + usualMs + order.hedgeAfterMs);
    if (order.workers === 1 || nowMs + ms <= fromMs) return ms;
    if (crew.copiedMs[worker] === Infinity) {
      crew.copiedMs[worker] = fromMs;
      machinery.counts.copies += 1;
    }
    const readyMs = fromMs + faults.coldStartMs + machinery.world.turnMs / 2 + work.reloadBytes / exchange.workerBytesPerMs;
    return Math.min(ms, Math.max(readyMs, nowMs) + usualMs - nowMs);
  }

  /** Copies run to the round's end; whoever told of the straggler was invoked again. */
  chargeCopies(): void {
    const { machinery, order, crew, endMs } = this.state;
    const { memoryMib } = order;
    for (const [worker, startMs] of crew.copiedMs.entries()) {
      if (startMs >= endMs) continue;
      machinery.ledger.add({ worker, memoryMib, startMs, endMs, ending: 'superseded' });
      machinery.ledger.add({ worker: worker ^ 1, memoryMib, startMs, endMs: startMs + machinery.world.turnMs, ending: 'superseded' });
    }
  }

  isNearLimit(worker: number): boolean {
    const { machinery, crew, nowMs } = this.state;
    const { limitMs } = machinery.world.workers;
    if (limitMs === Infinity || crew.stepsOfInvocation[worker] === 0) return false;
    return nowMs - crew.startMs[worker]! + 2 * crew.longestStepMs[worker]! + DRAIN_MS > limitMs;
  }

  /** Whether its money would be used up after one more step. */
  isSpent(worker: number): boolean {
    const { order, crew, nowMs } = this.state;
    const ranMs = crew.billedMs[worker]! + nowMs - crew.startMs[worker]!;
    return crew.stepsOfInvocation[worker]! > 0 && ranMs + crew.longestStepMs[worker]! > order.spendLimitMs;
  }

  restart(worker: number): void {
    const { machinery, nowMs } = this.state;
    machinery.counts.restarts += 1;
    this.#close(worker, 'reached', nowMs);
    this.state.scheduleInvoke(worker, nowMs + machinery.world.turnMs);
  }

  crash(worker: number): void {
    const { machinery, crew, link, nowMs } = this.state;
    const { counts } = machinery;
    counts.crashes += 1;
    if (crew.phases[worker] === 0) counts.lostMs += nowMs - crew.stepBeganMs[worker]!;
    link.cancel(worker, nowMs);
    this.#close(worker, 'crashed', nowMs);
    if (++crew.crashes[worker]! > MOST_CRASHES) this.state.trouble = 'crashing';
    this.state.scheduleInvoke(worker, nowMs + backoffMs(crew.crashes[worker]!));
  }

  end(worker: number): void {
    this.finished += 1;
    this.#close(worker, 'done', this.state.nowMs + this.state.machinery.world.turnMs / 2);
  }

  /** Ends whatever runs. */
  cut(why: Trouble): void {
    this.state.trouble = why;
    const ending = why === 'outOfMemory' || why === 'timedOut' ? why : 'superseded';
    for (let worker = 0; worker < this.state.crew.size; worker += 1)
      if (this.state.crew.startMs[worker]! >= 0) this.#close(worker, ending, this.state.nowMs);
  }

  #close(worker: number, ending: Ending, endMs: number): void {
    const { machinery, order, crew } = this.state;
    const { memoryMib } = order;
    machinery.ledger.add({ worker, memoryMib, startMs: crew.startMs[worker]!, endMs, ending });
    if (ending === 'done' || ending === 'reached' || ending === 'superseded') machinery.instances.giveBack(memoryMib, crew.serial[worker]!, endMs);
    crew.billedMs[worker]! += endMs - crew.startMs[worker]!;
    crew.startMs[worker] = -1;
    crew.doing[worker] = doings.ended;
    crew.stepsOfInvocation[worker] = 0;
    crew.invocation[worker]! += 1;
    this.state.endMs = Math.max(this.state.endMs, endMs);
  }
}

const backoffMs = (attempts: number): number => Math.min(MOST_BACKOFF_MS, BACKOFF_MS * 2 ** attempts);
