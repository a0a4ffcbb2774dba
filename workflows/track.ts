import { workflowInfo } from '@temporalio/workflow';
import { phaseAt } from '../contracts/batch-size';
import type { PrepareAnswer, WeightsReference } from '../contracts/functions';
import type { Job } from '../contracts/job';
import { addBills, rentBill, totalNanoUsd, type Bill, type Grant } from '../contracts/money';
import type { Carried, JournalEntry, Outcome, TrackResult } from '../contracts/pipeline';
import { sameShape, type Allocation } from '../contracts/allocation';
import type { Round } from '../contracts/round';
import type { Forbidden, Observation } from '../contracts/scheduling';
import { decideNext, openTrack } from './activities';
import type { Progress } from './messages';
import { refusal } from './refusal';
import type { Trouble } from '../contracts/worker-turns';
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

/** Trains a track round by round until its end, its limits or a stop. What is committed is never done again. */
export async function trainTrack(options: TrackOptions): Promise<TrackResult> {
  const { run, track, job, program, phase, grant, stopRequested } = options;
  const opening = await openTrack({ run, track, job, program, startFrom: options.startFrom });
  const untilStep = Math.min(options.untilStep ?? opening.totalSteps, opening.totalSteps);
  let { step, loss } = opening;
  let from = opening.weights ?? options.startFrom ?? null;
  let { bill, adopted, journal, forbidden, switches, accepted } = options.carried;
  let observations = options.carried.observations as Observation[];
  let current: Allocation | null = journal.at(-1)?.allocation ?? null;
  let probes = 0;
  let told: Progress | undefined;
  const tell = (progress: Progress) => options.onProgress((told = progress));
  // A trial ends where it is told to, and profiling is the beginning of one.
  const validation =
    options.untilStep === undefined && !(phase === 'profile' && job.tune)
      ? Validation.of(job, program, { step, lastStep: untilStep, plannedStep: options.carried.plannedStep })
      : undefined;
  const { until, earlyStopping } = job.training;

  // Copies of stragglers end after their round: whoever leaves this loop waits for their bills.
  const late: Promise<void>[] = [];
  const payLate = async (hedges: RoundResult['hedges']) => {
    const lateBill = await hedges.drain();
    bill = addBills(bill, lateBill);
  };
  const ended = async (outcome: Outcome, reason: string): Promise<TrackResult> => {
    await Promise.all(late);
    const { totalSteps } = opening;
    return {
      outcome,
      reason,
      ...(from ? { weights: from } : {}),
      step,
      totalSteps,
      loss,
      adopted,
      bill,
      observations,
      journal,
      validations: validation?.points ?? [],
    };
  };

  for (let round = opening.nextRound; ; round++) {
    const look = from ? await validation?.lookIfDue(from, step, bill) : undefined;
    if (look) {
      bill = addBills(bill, look.bill);
      if (told) {
        const reason = `${told.reason} Then: ${look.note}.`;
        journal = journal.map((entry) => (entry.round === told!.round ? { ...entry, reason } : entry));
        tell({ ...told, reason, spentNanoUsd: totalNanoUsd(bill), validation: look.point });
      }
      if (look.end) from = look.end.weights;
      if (look.end) return ended('completed', look.end.reason);
    }
    if (step >= untilStep) return ended('completed', `trained ${step} of ${opening.totalSteps} steps`);
    if (stopRequested()) return ended('stopped', 'stopped as asked');
    const next = await decideNext({
      ...{
        run,
        track,
        recipe: opening.recipe,
        round,
        step,
        untilStep,
        ...validation?.ahead,
        openEnded: until !== undefined || earlyStopping !== undefined,
        from,
        grant: grant(),
        spentNanoUsd: totalNanoUsd(bill),
        nowMs: Date.now(),
        current,
      },
      ...{ observations, wholeGoal: options.wholeGoal, switches, accepted, phase, probesLeft: MAX_PROBES - probes, forbidden },
    });
    if (next.kind === 'stop') return ended(next.outcome, next.reason);
    if (phase === 'profile' && !next.probe) return ended('completed', next.round.reason);
    if (next.probe) probes++;
    else accepted ??= next.promised;
    if (next.observations) observations = [...next.observations];
    journal = [...journal, entryOf(next.round)].slice(-JOURNAL_LENGTH);
    if (phase === 'run' && current && !sameShape(current, next.round.allocation)) switches++;
    current = next.round.allocation;

    const startedAtMs = Date.now();
    const { deadlineAtMs } = grant();
    const result = await driveRound(next.round, stopRequested, deadlineAtMs === undefined ? undefined : deadlineAtMs - startedAtMs);
    const wallMs = Date.now() - startedAtMs;
    bill = addBills(bill, result.bill);
    if (next.round.exchangeUsdPerHour) bill = addBills(bill, rentBill(next.round.exchangeUsdPerHour, wallMs));
    adopted += result.telemetry.reduce((sum, one) => sum + one.adopted, 0);
    late.push(payLate(result.hedges));
    const { batchSize } = phaseAt(job.training, next.round.first);
    observations = observe(observations, next.round, result, { wallMs, batchSize });
    if (result.committed.step > step || round > opening.nextRound || from === null) from = { run, track, round };
    step = result.committed.step;
    loss = result.committed.loss ?? loss;
    tell({
      stage: options.stage,
      track,
      round,
      first: next.round.first,
      step,
      totalSteps: opening.totalSteps,
      loss,
      allocation: current,
      reason: result.hedges.count > 0 ? `${next.round.reason}; second copies of slow workers: ${result.hedges.count}` : next.round.reason,
      spentNanoUsd: totalNanoUsd(bill),
    });
    if (result.trouble?.kind === 'failed') await Promise.all(late);
    const end = result.trouble && endOf(result.trouble, bill);
    if (end) return ended(end.outcome, end.reason);
    if (result.trouble) forbidden = { ...forbidden, ...learn(result.trouble, next.round, result.committed.step, forbidden) };
    // A stop that arrived meanwhile must not be lost in the hand-over to a fresh history.
    if (options.handOver && workflowInfo().continueAsNewSuggested && !stopRequested() && step < untilStep) {
      await Promise.all(late);
      await options.handOver({
        ...options.carried,
        bill,
        adopted,
        observations,
        journal,
        forbidden,
        switches,
        accepted,
        plannedStep: validation?.plannedStep,
      });
    }
  }
}

function endOf(trouble: Trouble, bill: Bill): { outcome: Outcome; reason: string } | null {
  switch (trouble.kind) {
    case 'stopped':
      return { outcome: 'stopped', reason: 'stopped as asked; the newest complete step is kept' };
    case 'deadline':
      return { outcome: 'deadlineReached', reason: 'the deadline came before the last step; the newest complete step is kept' };
    case 'failed':
      if (trouble.error.code === 'Diverged') return { outcome: 'diverged', reason: trouble.error.message };
      throw refusal(trouble.error.code, trouble.error.message, bill);
    case 'outOfMemory':
    case 'timedOut':
    case 'noSlots':
      return null;
  }
}

/** What a failure taught: the next allocation keeps clear of it. */
function learn(
  trouble: Trouble,
  { first, allocation: { workers, memoryMib, exchange } }: Round,
  committedStep: number,
  { tooSlow = [] }: Forbidden,
): Forbidden {
  switch (trouble.kind) {
    case 'outOfMemory':
      return { memoryMibBelow: trouble.memoryMib + 1 };
    case 'noSlots':
      return { workersAbove: Math.max(1, Math.floor(workers / 2)) };
    case 'timedOut':
      // With a step done, its observation tells how slow the shape is.
      return committedStep > first ? {} : { tooSlow: [...tooSlow, { workers, memoryMib, ...(exchange && { exchange }) }] };
    default:
      return {};
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

/** One observation a round: what the slowest part of each step took, and what it cost. */
function observe(
  observations: readonly Observation[],
  round: Round,
  { committed, bill, telemetry, trouble }: RoundResult,
  { wallMs, batchSize }: { wallMs: number; batchSize: number },
): Observation[] {
  const steps = committed.step - round.first;
  const complete = telemetry.filter((one) => one.steps > 0);
  if (steps <= 0 || complete.length === 0) return [...observations];
  const slowest = complete.reduce((slow, one) => (one.wallMs / one.steps > slow.wallMs / slow.steps ? one : slow));
  const perStep = (totalMs: number) => totalMs / slowest.steps;
  const observation: Observation = {
    allocation: round.allocation,
    round: round.round,
    batchSize,
    steps,
    wallMs,
    stepMs: Math.max(...complete.map((one) => one.medianStepMs)),
    parts: {
      computeMs: perStep(slowest.computeMs),
      uploadMs: perStep(slowest.uploadMs),
      waitMs: perStep(slowest.waitMs),
      downloadMs: perStep(slowest.downloadMs),
      reduceMs: perStep(slowest.reduceMs),
      otherMs: perStep(slowest.otherMs),
    },
    initMs: Math.max(...complete.map((one) => one.initMs)),
    // A worker may have needed several invocations, each with its share of the steps: its pace tells what all of them took.
    orchestrationMs: Math.max(0, wallMs - perStep(slowest.wallMs - slowest.initMs) * steps - slowest.initMs),
    billedNanoUsd: totalNanoUsd(bill),
    peakRssMib: Math.max(...complete.map((one) => one.peakRssMib)),
    cold: complete.some((one) => one.cold),
    failures: { outOfMemory: trouble?.kind === 'outOfMemory' ? 1 : 0, timedOut: trouble?.kind === 'timedOut' ? 1 : 0 },
    merged: 1,
  };
  return [...observations, observation];
}
