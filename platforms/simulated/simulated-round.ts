import type { RoundPlan, Telemetry, TrainAnswer } from '../../contracts/round';
import { median } from './median';
import type { RoundModel } from './function-model';
import type { VirtualClock } from './virtual-clock';

/** A turn reads its round's plan and its start, and writes its range's parameters and state. */
export const TURN_REQUESTS = { puts: 2, gets: 3 };
/** Real time in which a caller of many invokes a worker again that died: three times its first backoff. Later it will not. */
const RETURN_MS = 300;

/** How one simulated invocation ended. */
export type TurnEnd =
  | { readonly kind: 'answered'; readonly answer: TrainAnswer; readonly initMs: number }
  | { readonly kind: 'crashed' | 'outOfMemory' | 'timedOut'; readonly initMs: number };

interface Turn {
  readonly worker: number;
  readonly caller: string;
  readonly joinedAtMs: number;
  readonly initMs: number;
  readonly firstStep: number;
  readonly crashAtMs: number;
  /** When its money is used up. */
  readonly spentAtMs: number;
  readonly end: (outcome: TurnEnd) => void;
  readonly fail: (error: unknown) => void;
}

export interface SimulatedRoundOptions {
  readonly plan: RoundPlan;
  readonly model: RoundModel;
  readonly clock: VirtualClock;
  readonly timeoutMs: number;
  readonly memoryMib: number;
  /** Real time in which the workers of one round arrive; whoever is missing then got no slot. */
  readonly gatherMs: number;
  /** Writes the round's checkpoint objects. */
  readonly onFinished: () => Promise<void>;
}

/**
 * One round of training as its functions see it. All workers of a step wait for each other, so the round as a whole is
 * asleep until the next thing happens to anybody: one timer a round, and one more for each crash or time limit.
 * Invariants: (1) steps only grow; (2) every turn ends exactly once; (3) a round that was decided elsewhere (its manifest
 * exists) ends every turn as superseded.
 */
export class SimulatedRound {
  readonly #options: SimulatedRoundOptions;
  readonly #turns = new Set<Turn>();
  /** Turns of each worker that is here; a hedged one has two. */
  readonly #here = new Map<number, number>();
  readonly #invocations = new Map<number, number>();
  readonly #decided = new AbortController();
  #step: number;
  /** Moments at which the steps after `#step` will be complete, while the round is asleep. */
  #ends: number[] = [];
  #asleep = false;
  #finished = false;
  #absence: NodeJS.Timeout | undefined;

  constructor(options: SimulatedRoundOptions) {
    this.#options = options;
    this.#step = options.plan.first;
  }

  /** Runs one worker's turn to its end. */
  async join(worker: number, { cold, spendLimitMs = Infinity }: { cold: boolean; spendLimitMs?: number | undefined }): Promise<TurnEnd> {
    const { clock, model, memoryMib, gatherMs } = this.#options;
    const joinedAtMs = await clock.now();
    const initMs = cold ? model.initMs(worker) : 0;
    if (this.#decided.signal.aborted || this.#finished) return this.#superseded(initMs);
    const invocation = this.#invocations.get(worker) ?? 0;
    this.#invocations.set(worker, invocation + 1);
    if (model.peakRssMib > memoryMib) {
      await clock.sleep(initMs + model.stepMs[0]! / 2, 1);
      return { kind: 'outOfMemory', initMs };
    }
    return new Promise<TurnEnd>((end, fail) => {
      const crashAtMs = joinedAtMs + model.crashAfterMs(worker, invocation);
      const spentAtMs = joinedAtMs + spendLimitMs;
      this.#turns.add({ worker, caller: clock.caller(), joinedAtMs, initMs, firstStep: this.#step, crashAtMs, spentAtMs, end, fail });
      this.#here.set(worker, (this.#here.get(worker) ?? 0) + 1);
      this.#goOnWithin(gatherMs);
    });
  }

  /** The newest step complete by this moment. */
  stepAt(nowMs: number): number {
    return this.#step + this.#ends.filter((endMs) => endMs <= nowMs).length;
  }

  /** The round was decided: whoever is in it ends. */
  decide(): void {
    clearTimeout(this.#absence);
    this.#decided.abort();
    if (!this.#asleep) this.#endAll((turn) => this.#superseded(turn.initMs, turn));
  }

  /** Goes on with everybody, or without whoever has not come by then. */
  #goOnWithin(absenceMs: number): void {
    const go = (work: Promise<void>) =>
      void work.catch((error: unknown) => {
        for (const turn of [...this.#turns]) {
          this.#leave(turn);
          turn.fail(error);
        }
      });
    clearTimeout(this.#absence);
    if (this.#here.size === this.#options.plan.allocation.workers) go(this.#sleep());
    else this.#absence = setTimeout(() => go(this.#giveUp()), absenceMs);
  }

  async #sleep(): Promise<void> {
    if (this.#asleep || this.#decided.signal.aborted) return;
    this.#asleep = true;
    const { clock, plan, model, timeoutMs, gatherMs } = this.#options;
    const turns = [...this.#turns];
    const nowMs = await clock.now();
    const marginMs = Math.max(plan.times.marginMs, 2 * Math.max(...Array.from(model.stepMs)));
    const oldest = turns.reduce((one, other) => (other.joinedAtMs < one.joinedAtMs ? other : one));
    const limitAtMs = oldest.joinedAtMs + timeoutMs;
    const crashAtMs = Math.min(...turns.map((turn) => turn.crashAtMs));
    const spentAtMs = Math.min(...turns.map((turn) => turn.spentAtMs));
    let endMs = nowMs + Math.max(...turns.map((turn) => turn.initMs));
    this.#ends = [];
    for (let step = this.#step; step < plan.last; step += 1) {
      const next = endMs + model.stepMs[step - plan.first]!;
      if (next > limitAtMs - marginMs || next > crashAtMs || next > spentAtMs) break;
      this.#ends.push((endMs = next));
    }
    const complete = this.#step + this.#ends.length;
    const nextMs = endMs + (model.stepMs[complete - plan.first] ?? 0);
    const spent = complete < plan.last && nextMs > spentAtMs && spentAtMs < limitAtMs;
    const crash = !spent && crashAtMs <= nextMs && complete < plan.last && crashAtMs < limitAtMs;
    // Whoever has done a step ends in time at its border; a first step that does not fit is tried until the limit.
    const stuck = !crash && !spent && complete === oldest.firstStep && complete < plan.last;
    const spentMidStep = spent && this.#ends.length === 0;
    const untilMs = crash || spentMidStep ? Math.max(nowMs, crash ? crashAtMs : spentAtMs) : stuck ? limitAtMs : endMs;
    await clock.sleep(untilMs - nowMs, new Set(turns.map((turn) => turn.caller)).size, this.#decided.signal);
    this.#step = this.#decided.signal.aborted ? this.stepAt(await clock.now()) : complete;
    this.#ends = [];
    this.#asleep = false;
    if (this.#decided.signal.aborted) return this.#endAll((turn) => this.#superseded(turn.initMs, turn));
    if (this.#step === plan.last) {
      await this.#options.onFinished();
      this.#finished = true;
      return this.#endAll((turn) => this.#answered(turn, { kind: 'done', step: plan.last, loss: null, telemetry: this.#telemetry(turn) }));
    }
    if (crash) {
      const dead = turns.find((turn) => turn.crashAtMs === crashAtMs)!;
      this.#end(dead, ({ initMs }) => ({ kind: 'crashed', initMs }));
      const callerIsHere = [...this.#turns].some(({ caller }) => caller === dead.caller);
      return this.#goOnWithin(callerIsHere ? Math.min(RETURN_MS, gatherMs) : gatherMs);
    }
    if (stuck) return this.#endAll((turn) => ({ kind: 'timedOut', initMs: turn.initMs }));
    return this.#endAll((turn) => this.#answered(turn, { kind: spent ? 'spent' : 'reached', step: this.#step, telemetry: this.#telemetry(turn) }));
  }

  /** Somebody never came: as in the real step, the others wait for a while and then free their slots. */
  async #giveUp(): Promise<void> {
    if (this.#asleep || this.#decided.signal.aborted || this.#turns.size === 0) return;
    const { clock, plan } = this.#options;
    this.#asleep = true;
    await clock.sleep(plan.times.giveUpMs, new Set([...this.#turns].map((turn) => turn.caller)).size, this.#decided.signal);
    this.#asleep = false;
    const missing = Array.from({ length: plan.allocation.workers }, (_, worker) => worker).filter((worker) => !this.#here.has(worker));
    if (missing.length === 0 && !this.#decided.signal.aborted) return this.#sleep();
    this.#endAll((turn) =>
      this.#decided.signal.aborted
        ? this.#superseded(turn.initMs, turn)
        : this.#answered(turn, {
            kind: 'waiting',
            step: this.#step,
            missing: missing.slice(0, 3).map((worker) => `worker ${worker}`),
            missingCount: missing.length,
            slow: [],
            telemetry: this.#telemetry(turn),
          }),
    );
  }

  #endAll(outcome: (turn: Turn) => TurnEnd): void {
    for (const turn of [...this.#turns]) this.#end(turn, outcome);
  }
  #end(turn: Turn, outcome: (turn: Turn) => TurnEnd): void {
    this.#leave(turn);
    turn.end(outcome(turn));
  }
  #leave(turn: Turn): void {
    this.#turns.delete(turn);
    const left = this.#here.get(turn.worker)! - 1;
    if (left > 0) this.#here.set(turn.worker, left);
    else this.#here.delete(turn.worker);
  }
  #answered({ initMs }: Turn, answer: TrainAnswer): TurnEnd {
    return { kind: 'answered', answer, initMs };
  }
  #superseded(initMs: number, turn?: Turn): TurnEnd {
    return { kind: 'answered', answer: { kind: 'superseded', telemetry: this.#telemetry(turn) }, initMs };
  }

  #telemetry(turn?: Turn): Telemetry {
    const { model, plan } = this.#options;
    const times = turn ? Array.from(model.stepMs).slice(turn.firstStep - plan.first, this.#step - plan.first) : [];
    const inStepsMs = times.reduce((sum, stepMs) => sum + stepMs, 0);
    const { shares } = model;
    return {
      steps: times.length,
      wallMs: inStepsMs + (turn?.initMs ?? 0),
      initMs: turn?.initMs ?? 0,
      computeMs: inStepsMs * shares.computeMs,
      uploadMs: inStepsMs * shares.uploadMs,
      waitMs: inStepsMs * shares.waitMs,
      downloadMs: inStepsMs * shares.downloadMs,
      reduceMs: inStepsMs * shares.reduceMs,
      otherMs: inStepsMs * shares.otherMs,
      medianStepMs: median(times),
      longestStepMs: Math.max(0, ...times),
      peakRssMib: model.peakRssMib,
      bytesWritten: 0,
      bytesRead: 0,
      requests: 0,
      storeRequests: TURN_REQUESTS.puts + TURN_REQUESTS.gets,
      adopted: 0,
      cpuClass: 'simulated',
      cold: (turn?.initMs ?? 0) > 0,
    };
  }
}
