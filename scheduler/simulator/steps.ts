import { doings } from './crew';
import type { RoundState } from './round-state';
import type { Turns } from './turns';
import { changedBy, computeMsOf } from './world';

/** More than any number of steps. */
const TRIES_APART = 100_000_007;
/** How long others look for a value before they ask for it again. */
const LOST_VALUE_MS = 1_000;
const PART_OF_PHASE = ['upload', 'merge', 'download'] as const;

/**
 * The steps of a round: each worker computes, then goes through the phases of the exchange, each of which waits for all.
 * A step is complete when every worker has published its part of it, once; what is published stays when its worker dies.
 */
export class Steps {
  readonly #baseMs: Float64Array;
  /** How many workers have ended phase p of the step that is being made. */
  readonly #arrived = new Int32Array(3);
  readonly #endsMs: Float64Array;
  complete = 0;

  constructor(
    private readonly state: RoundState,
    private readonly turns: Turns,
  ) {
    const { machinery, order, plan } = state;
    this.#baseMs = plan.shares.map((share) => computeMsOf(machinery.world, share * order.batchSize, order.memoryMib));
    this.#endsMs = new Float64Array(order.steps);
  }

  /** Ends of the complete steps. */
  endsMs(): Float64Array {
    return this.#endsMs.slice(0, this.complete);
  }

  /** Begins what comes next for this worker: a new step, a phase, a wait, or the end of its invocation. */
  goOn(worker: number): void {
    const { crew, order } = this.state;
    const done = crew.phases[worker]!;
    if (done === 0) {
      if (crew.steps[worker] === order.steps) return this.turns.end(worker);
      if (this.turns.isSpent(worker)) {
        this.state.trouble = 'spent';
        return;
      }
      if (this.turns.isNearLimit(worker)) return this.turns.restart(worker);
      return this.#compute(worker);
    }
    // Published already; the others' part of the phase before may be missing still.
    if (this.#arrived[done - 1]! < order.workers && crew.steps[worker] === this.complete) {
      crew.doing[worker] = doings.waiting;
      return;
    }
    this.#beginPhase(worker, done);
  }

  #compute(worker: number): void {
    const { machinery, order, crew, nowMs } = this.state;
    const { world, draws } = machinery;
    const { faults, changes } = world;
    crew.doing[worker] = doings.computing;
    crew.stepBeganMs[worker] = nowMs;
    let ms = this.#baseMs[worker]! * crew.slowness[worker]!;
    const luckOf = order.firstStep + crew.steps[worker]! + TRIES_APART * (order.attempt + crew.crashes[worker]!);
    if (faults.computeSd > 0) ms *= Math.exp(faults.computeSd * draws.normal('compute', worker, luckOf));
    if (faults.stragglers > 0) {
      const luck = draws.uniform('straggler', worker, luckOf);
      if (luck < faults.stragglers) ms *= 1.5 + (2.5 * luck) / faults.stragglers;
    }
    if (changes.length > 0) ms *= changedBy(changes, nowMs, 'compute');
    if (order.hedgeAfterMs < Infinity) ms = this.turns.withCopy(worker, ms, this.#baseMs[worker]!);
    this.state.schedule('computed', worker, nowMs + ms);
  }

  computed(worker: number): void {
    const { machinery, plan, crew, nowMs } = this.state;
    machinery.counts.computeMs += crew.spend(worker, 'compute', nowMs);
    if (plan.phases.length > 0) return this.#beginPhase(worker, 0);
    this.#stepDone();
    this.#nextStep(worker);
  }

  #beginPhase(worker: number, phase: number): void {
    const { plan, crew, nowMs } = this.state;
    crew.doing[worker] = doings.moving;
    this.state.schedule('move', worker, nowMs + plan.phases[phase]!.latencyMs);
  }

  /** Requests have been made; now the bytes move. */
  move(worker: number): void {
    const { plan, crew, link, nowMs } = this.state;
    const bytes = plan.phases[crew.phases[worker]!]!.bytes[worker]!;
    if (bytes > 0) link.start(worker, bytes, nowMs);
    else this.moved(worker);
  }

  moved(worker: number): void {
    const { machinery, order, crew, nowMs } = this.state;
    const { faults } = machinery.world;
    const phase = crew.phases[worker]!;
    const step = order.firstStep + crew.steps[worker]!;
    crew.spend(worker, PART_OF_PHASE[phase]!, nowMs);
    const isLost = phase === 0 && faults.lostValues > 0 && machinery.draws.uniform('lostValue', worker, step) < faults.lostValues;
    if (isLost && crew.rewritten[worker] !== step + 1) {
      crew.rewritten[worker] = step + 1; // the second writing stays
      machinery.counts.lostValues += 1;
      this.state.schedule('move', worker, nowMs + LOST_VALUE_MS);
      return;
    }
    this.#arrive(worker, phase);
  }

  #arrive(worker: number, phase: number): void {
    const { crew, nowMs } = this.state;
    if (phase === 2) return this.#nextStep(worker);
    crew.phases[worker] = phase + 1;
    this.#arrived[phase]! += 1;
    if (this.#arrived[phase]! < crew.size) {
      crew.doing[worker] = doings.waiting;
      return;
    }
    if (phase === 1) this.#stepDone();
    for (let other = 0; other < crew.size; other += 1) {
      if (other !== worker && (crew.doing[other] !== doings.waiting || crew.phases[other] !== phase + 1)) continue;
      crew.spend(other, 'wait', nowMs);
      this.#beginPhase(other, phase + 1);
    }
  }

  #stepDone(): void {
    const { machinery, order, nowMs } = this.state;
    this.#endsMs[this.complete] = nowMs;
    this.complete += 1;
    machinery.counts.mergedSamples += order.batchSize * this.#shareMerged();
    this.#arrived.fill(0);
  }
  /** 1 when everybody's part is in the step: what the barrier is there for. */
  #shareMerged(): number {
    const { plan, crew } = this.state;
    if (plan.phases.length === 0) return 1;
    let share = 0;
    for (let worker = 0; worker < crew.size; worker += 1) if (crew.phases[worker] === 2) share += plan.shares[worker]!;
    return share;
  }

  #nextStep(worker: number): void {
    const { crew, nowMs } = this.state;
    crew.phases[worker] = 0;
    crew.steps[worker]! += 1;
    crew.stepsOfInvocation[worker]! += 1;
    crew.longestStepMs[worker] = Math.max(crew.longestStepMs[worker]!, nowMs - crew.stepBeganMs[worker]!);
    this.goOn(worker);
  }
}
