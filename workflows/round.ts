import { condition, sleep } from '@temporalio/workflow';
import { isErrorCode, isRetryable } from '../contracts/errors';
import { addBills, noBill, type Bill } from '../contracts/money';
import type { Assignment, Failure, Round, Telemetry, TrainOutcome } from '../contracts/round';
import type { Committed } from '../activities/rounds';
import { commitRound, cutShort, invokeTrainer } from './activities';

/** Enough to ride out a crash or two a round; a function that always crashes must not be paid for ever. */
const MAX_CRASHES = 5;
const MAX_WAITS = 12;
const MAX_INVOCATIONS = 200;

/** Why a round was cut short. */
export type Trouble =
  | { readonly kind: 'outOfMemory'; readonly memoryMib: number }
  | { readonly kind: 'timedOut' }
  | { readonly kind: 'noSlots' }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'deadline' }
  | { readonly kind: 'failed'; readonly error: Failure };

export interface RoundResult {
  readonly committed: Committed;
  readonly bill: Bill;
  readonly telemetry: readonly Telemetry[];
  readonly trouble: Trouble | null;
}

/** Runs one round as a batch of activities, one a worker, and commits it: at its last step, or cut short. */
export async function driveRound(round: Round, stopRequested: () => boolean, deadlineInMs: number | undefined): Promise<RoundResult> {
  let trouble: Trouble | null = null;
  let cutting: Promise<Committed> | undefined;
  // Whoever comes first cuts the round; the other instances find its manifest and end.
  const cut = (why: Trouble): Promise<Committed> => {
    trouble ??= why;
    return (cutting ??= cutShort(round));
  };
  let driving = true;
  const watching = watch(round, () => !driving, stopRequested, deadlineInMs, cut);
  const workers = await Promise.all(Array.from({ length: round.allocation.workers }, (_, worker) => driveWorker(round, worker, cut)));
  driving = false;
  await watching;
  const committed = await (cutting ?? commitRound(round));
  return { committed, bill: workers.map(({ bill }) => bill).reduce(addBills, noBill), telemetry: workers.flatMap((worker) => worker.telemetry), trouble };
}

async function watch(_round: Round, done: () => boolean, stopRequested: () => boolean, deadlineInMs: number | undefined, cut: (why: Trouble) => Promise<Committed>): Promise<void> {
  const woken = () => done() || stopRequested();
  const inTime = deadlineInMs === undefined ? (await condition(woken), true) : await condition(woken, Math.max(1, deadlineInMs));
  if (done()) return;
  await cut(inTime ? { kind: 'stopped' } : { kind: 'deadline' });
}

/** Invokes one worker until its part of the round is durable, and adds up what every attempt cost. */
async function driveWorker(round: Round, worker: number, cut: (why: Trouble) => Promise<Committed>): Promise<{ bill: Bill; telemetry: Telemetry[] }> {
  const { run, track, round: number, allocation } = round;
  const assignment: Assignment = { storeUri: '', run, track, round: number, worker, memoryMib: allocation.memoryMib };
  let bill = noBill;
  const telemetry: Telemetry[] = [];
  const seen = { crashes: 0, waits: 0, timeouts: 0 };
  for (let invocation = 0; invocation < MAX_INVOCATIONS; invocation++) {
    const outcome = await invokeTrainer(assignment);
    bill = addBills(bill, outcome.bill);
    if ('telemetry' in outcome) telemetry.push(outcome.telemetry);
    if (outcome.kind === 'done' || outcome.kind === 'superseded') return { bill, telemetry };
    const why = troubleOf(outcome, seen);
    if (why) {
      await cut(why);
      return { bill, telemetry };
    }
    if (outcome.kind !== 'reached') await sleep(backoffMs(seen.crashes + seen.waits));
  }
  await cut({ kind: 'failed', error: { code: 'FunctionFailed', message: `worker ${worker} of round ${number} did not end within ${MAX_INVOCATIONS} invocations` } });
  return { bill, telemetry };
}

/** What an outcome means for the round; null: invoke again, it resolves and goes on. */
function troubleOf(outcome: Exclude<TrainOutcome, { kind: 'done' | 'superseded' }>, seen: { crashes: number; waits: number; timeouts: number }): Trouble | null {
  switch (outcome.kind) {
    case 'reached':
      return null;
    case 'waiting':
      return ++seen.waits > MAX_WAITS ? { kind: 'noSlots' } : null;
    case 'crashed':
      return ++seen.crashes > MAX_CRASHES ? { kind: 'failed', error: { code: 'FunctionFailed', message: `the train function crashed ${seen.crashes} times in one round: ${outcome.message}` } } : null;
    case 'timedOut':
      return ++seen.timeouts > 1 ? { kind: 'timedOut' } : null;
    case 'outOfMemory':
      return { kind: 'outOfMemory', memoryMib: outcome.memoryMib };
    case 'failed':
      if (isErrorCode(outcome.error.code) && isRetryable(outcome.error.code) && ++seen.crashes <= MAX_CRASHES) return null;
      return { kind: 'failed', error: outcome.error };
  }
}

const backoffMs = (attempts: number): number => Math.min(5_000, 50 * 2 ** attempts);
