import { patched, workflowInfo } from '@temporalio/workflow';
import type { NextAnswer, NextQuestion } from '../activities/scheduling-question';
import type { TrackOpening } from '../activities/tracks';
import { sameShape, type Allocation } from '../contracts/allocation';
import { phaseAt } from '../contracts/batch-size';
import type { PrepareAnswer, WeightsReference } from '../contracts/functions';
import type { Job } from '../contracts/job';
import { addBills, limitWords, rentBill, totalNanoUsd, type Bill, type Grant } from '../contracts/money';
import type { Carried, JournalEntry, Outcome, TrackResult } from '../contracts/pipeline';
import type { Round } from '../contracts/round';
import type { Observation } from '../contracts/scheduling';
import type { Trouble } from '../contracts/worker-turns';
import { decideNext, openTrack } from './activities';
import { forbiddenAfter, observationOf } from './lessons';
import type { Progress } from './messages';
import { microProbe } from './micro-probe';
import { refusal } from './refusal';
import { driveRound, type RoundResult } from './round';
import { Validation } from './validation';

/** Journal entries that travel with the workflow; all of them lie in the rounds' plans. */
const JOURNAL_LENGTH = 12;
const MAX_PROBES = 5;

export interface TrackOptions {
  readonly run: string;
  readonly track: string;
  readonly stage: Progress['stage'];
  readonly job: Job;
  readonly program: PrepareAnswer;
  readonly phase: 'profile' | 'run';
  readonly startFrom?: WeightsReference | undefined;
  readonly untilStep?: number | undefined;
  readonly carried: Carried;
  readonly grant: () => Grant;
  /** The whole run's goal, where the grant is a stage's share of it: plans are held against it. */
  readonly wholeGoal?: Grant | undefined;
  readonly stopRequested: () => boolean;
  readonly onProgress: (progress: Progress) => void;
  /** Goes on in a fresh history; only where a workflow is nothing but this loop. */
  readonly handOver?: (carried: Carried) => Promise<never>;
}

interface End {
  readonly outcome: Outcome;
  readonly reason: string;
}
type Next = Extract<NextAnswer, { kind: 'round' }>;

/** Trains a track round by round until its end, its limits or a stop. What is committed is never done again. */
export async function trainTrack(options: TrackOptions): Promise<TrackResult> {
  return new Track(options, await open(options, options.carried)).train();
}

function open({ run, track, job, program, startFrom, phase, grant, untilStep }: TrackOptions, carried: Carried): Promise<TrackOpening> {
  const { bill, observations, forbidden } = carried;
  // What a lossy method is chosen from, where the job allows any: rounds without it show what exchanging takes.
  const choice =
    phase === 'run' && job.synchronization.allow
      ? { grant: grant(), spentNanoUsd: totalNanoUsd(bill), nowMs: Date.now(), observations: observations as Observation[], forbidden, untilStep }
      : undefined;
  return openTrack({ run, track, job, program, startFrom, choice });
}

class Track {
  readonly #untilStep: number;
  readonly #validation: Validation | undefined;
  /** What is carried into a fresh history; its observations are the newest. */
  #carried: Carried & { observations: Observation[] };
  #step: number;
  #loss: number | null;
  #weights: WeightsReference | null;
  #current: Allocation | null;
  #probes = 0;
  #told: Progress | undefined;
  /** Copies of stragglers end after their round: whoever leaves waits for their bills. */
  readonly #late: Promise<void>[] = [];

  constructor(
    private readonly options: TrackOptions,
    private opening: TrackOpening,
  ) {
    const { carried, job, phase, program, startFrom, untilStep } = options;
    this.#untilStep = Math.min(untilStep ?? opening.totalSteps, opening.totalSteps);
    this.#step = opening.step;
    this.#loss = opening.loss;
    this.#weights = opening.weights ?? startFrom ?? null;
    this.#carried = { ...carried, observations: carried.observations as Observation[] };
    this.#current = carried.journal.at(-1)?.allocation ?? null;
    // A trial ends where it is told to, and profiling is the beginning of one.
    const isTrial = untilStep !== undefined || (phase === 'profile' && job.tune !== undefined);
    if (!isTrial) this.#validation = Validation.of(job, program, { step: this.#step, lastStep: this.#untilStep, plannedStep: carried.plannedStep });
  }

  async train(): Promise<TrackResult> {
    await this.#lookFirst();
    for (let round = this.opening.nextRound; ; round++) {
      const before = (await this.#validate()) ?? this.#endBeforeNext();
      if (before) return this.#result(before);
      const next = await this.#decide(round);
      if (next.kind === 'stop') return this.#result(next);
      if (this.options.phase === 'profile' && !next.probe) return this.#result({ outcome: 'completed', reason: next.round.reason });
      this.#begin(next);
      const result = await this.#drive(next.round);
      this.#tell(next.round, result);
      const after = await this.#endAfter(result.trouble, next.round);
      if (after) return this.#result(after);
      if (this.opening.undecided && !this.#endBeforeNext()) this.opening = await open(this.options, this.#carried);
      await this.#handOverIfLong();
    }
  }

  /** Looks at the weights on data.validation where that is due. What it sees may end the training. */
  async #validate(): Promise<End | undefined> {
    const look = this.#weights ? await this.#validation?.lookIfDue(this.#weights, this.#step, this.#carried.bill) : undefined;
    if (!look) return undefined;
    this.#pay(look.bill);
    if (this.#told) {
      const { round } = this.#told;
      const reason = `${this.#told.reason} Then: ${look.note}.`;
      this.#carried.journal = this.#carried.journal.map((entry) => (entry.round === round ? { ...entry, reason } : entry));
      this.#report({ ...this.#told, reason, spentNanoUsd: totalNanoUsd(this.#carried.bill), validation: look.point });
    }
    if (!look.end) return undefined;
    this.#weights = look.end.weights;
    return { outcome: 'completed', reason: look.end.reason };
  }

  #endBeforeNext(): End | undefined {
    if (this.#step >= this.#untilStep) return { outcome: 'completed', reason: `trained ${this.#step} of ${this.opening.totalSteps} steps` };
    if (this.options.stopRequested()) return { outcome: 'stopped', reason: 'stopped as asked' };
    return undefined;
  }

  /** Before anything was seen, what single functions take says what a first round should be like. */
  async #lookFirst(): Promise<void> {
    const { phase, program, stopRequested } = this.options;
    if (phase !== 'profile' || this.opening.nextRound > 0 || this.#carried.observations.length > 0 || stopRequested()) return;
    if (patched('micro-probe')) this.#pay(await microProbe(this.#question(0), program.programDigest));
  }

  async #decide(round: number): Promise<NextAnswer> {
    const next = await decideNext(this.#question(round));
    const { method, nextRound } = this.opening;
    if (!method || next.kind !== 'round' || round !== nextRound) return next;
    // Chosen for all that follows, so it is told once.
    return { ...next, round: { ...next.round, reason: `${method} ${next.round.reason}` } };
  }

  /** Where the track stands: all that a decision is made from. */
  #question(round: number): NextQuestion {
    const { run, track, job, grant, wholeGoal, phase } = this.options;
    const { bill, observations, switches, accepted, forbidden } = this.#carried;
    const { until, earlyStopping } = job.training;
    return {
      ...{ run, track, recipe: this.opening.recipe, round, step: this.#step, untilStep: this.#untilStep },
      ...this.#validation?.ahead,
      openEnded: until !== undefined || earlyStopping !== undefined,
      ...{ from: this.#weights, grant: grant(), spentNanoUsd: totalNanoUsd(bill), nowMs: Date.now(), current: this.#current },
      ...{ observations, wholeGoal, switches, accepted, phase, probesLeft: MAX_PROBES - this.#probes, forbidden },
    };
  }

  #begin({ probe, promised, observations, round }: Next): void {
    const carried = this.#carried;
    if (probe) this.#probes++;
    else carried.accepted ??= promised;
    if (observations) carried.observations = [...observations];
    carried.journal = [...carried.journal, entryOf(round)].slice(-JOURNAL_LENGTH);
    if (this.options.phase === 'run' && this.#current && !sameShape(this.#current, round.allocation)) carried.switches++;
    this.#current = round.allocation;
  }

  async #drive(round: Round): Promise<RoundResult> {
    const { run, track, grant, job, stopRequested } = this.options;
    const startedAtMs = Date.now();
    const { deadlineAtMs } = grant();
    const result = await driveRound(round, stopRequested, deadlineAtMs === undefined ? undefined : deadlineAtMs - startedAtMs);
    const wallMs = Date.now() - startedAtMs;
    this.#pay(result.bill);
    if (round.exchangeUsdPerHour) this.#pay(rentBill(round.exchangeUsdPerHour, wallMs));
    this.#late.push(result.hedges.drain().then((bill) => this.#pay(bill)));
    const carried = this.#carried;
    carried.adopted += result.telemetry.reduce((sum, one) => sum + one.adopted, 0);
    const { batchSize } = phaseAt(job.training, round.first);
    const observation = observationOf(round, result, { wallMs, batchSize, compression: this.opening.compression });
    if (observation) carried.observations = [...carried.observations, observation];
    const { step, loss } = result.committed;
    if (step > this.#step || round.round > this.opening.nextRound || this.#weights === null) this.#weights = { run, track, round: round.round };
    this.#step = step;
    this.#loss = loss ?? this.#loss;
    return result;
  }

  #tell({ round, first, allocation, reason }: Round, { hedges }: RoundResult): void {
    const { stage, track } = this.options;
    this.#report({
      ...{ stage, track, round, first, step: this.#step, totalSteps: this.opening.totalSteps, loss: this.#loss, allocation },
      reason: hedges.count > 0 ? `${reason}; second copies of slow workers: ${hedges.count}` : reason,
      spentNanoUsd: totalNanoUsd(this.#carried.bill),
    });
  }

  #report(progress: Progress): void {
    this.#told = progress;
    this.options.onProgress(progress);
  }

  /** What cut a round short may end the training; else it is learnt from. */
  async #endAfter(trouble: Trouble | null, round: Round): Promise<End | undefined> {
    if (!trouble) return undefined;
    if (trouble.kind === 'failed') await Promise.all(this.#late);
    const end = endOf(trouble, this.#carried.bill, this.options.grant().stage);
    if (end) return end;
    const { forbidden } = this.#carried;
    this.#carried.forbidden = { ...forbidden, ...forbiddenAfter(trouble, round, this.#step, forbidden) };
    return undefined;
  }

  async #handOverIfLong(): Promise<void> {
    const { handOver, stopRequested } = this.options;
    // A stop that arrived meanwhile must not be lost in the hand-over to a fresh history.
    if (!handOver || !workflowInfo().continueAsNewSuggested || stopRequested() || this.#step >= this.#untilStep) return;
    await Promise.all(this.#late);
    await handOver({ ...this.#carried, plannedStep: this.#validation?.plannedStep });
  }

  async #result({ outcome, reason }: End): Promise<TrackResult> {
    await Promise.all(this.#late);
    const { adopted, bill, observations, journal } = this.#carried;
    return {
      outcome,
      reason,
      ...(this.#weights ? { weights: this.#weights } : {}),
      ...{ step: this.#step, totalSteps: this.opening.totalSteps, loss: this.#loss },
      ...{ adopted, bill, observations, journal, validations: this.#validation?.points ?? [] },
    };
  }

  #pay(bill: Bill): void {
    this.#carried.bill = addBills(this.#carried.bill, bill);
  }
}

/** null: the training goes on, otherwise than before. */
function endOf(trouble: Trouble, bill: Bill, stage: Grant['stage']): End | null {
  switch (trouble.kind) {
    case 'stopped':
      return { outcome: 'stopped', reason: 'stopped as asked; the newest complete step is kept' };
    case 'deadline':
      return { outcome: 'deadlineReached', reason: `${limitWords('deadline', stage)} came before the last step; the newest complete step is kept` };
    case 'failed':
      if (trouble.error.code === 'Diverged') return { outcome: 'diverged', reason: trouble.error.message };
      throw refusal(trouble.error.code, trouble.error.message, bill);
    case 'outOfMemory':
    case 'timedOut':
    case 'noSlots':
    case 'spent':
      return null;
  }
}

const entryOf = ({ track, round, first, last, allocation, reason }: Round): JournalEntry => ({
  atMs: Date.now(),
  track,
  round,
  first,
  last,
  allocation,
  reason,
});
