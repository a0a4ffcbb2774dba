import { isErrorCode, isRetryable } from './errors';
import { addBills, noBill, type Bill } from './money';
import type { Failure, Telemetry, TrainOutcome, WorkerTurn } from './round';

/** Why a round is cut short. */
export type Trouble =
  | { readonly kind: 'outOfMemory'; readonly memoryMib: number }
  | { readonly kind: 'timedOut' | 'noSlots' | 'stopped' | 'deadline' | 'spent' }
  | { readonly kind: 'failed'; readonly error: Failure };

// Enough to ride out a few crashes and waits a round; a function that always fails must not be paid for ever.
const MAX_CRASHES = 5;
const MAX_WAITS = 12;
const MAX_TIMEOUTS = 1;
const MAX_INVOCATIONS = 200;

export interface WorkerTurns {
  readonly bill: Bill;
  readonly telemetry: readonly Telemetry[];
}
/** What one invocation is told beside what its round's plan says. */
export type TurnTerms = Pick<WorkerTurn, 'spendLimitMs' | 'hasTold'>;
export interface TurnsWorld {
  readonly invoke: (terms: TurnTerms) => Promise<TrainOutcome>;
  /** For all its invocations together. */
  readonly spendLimitMs?: number | undefined;
  readonly sleep: (ms: number) => Promise<unknown>;
  /** Told when this worker waits for others. */
  readonly waitingFor?: (workers: readonly number[]) => void;
  /** Ends the whole round; the other instances find its manifest. */
  readonly cut: (why: Trouble) => Promise<unknown>;
}

/**
 * Invokes one worker until its part of the round is durable, and adds up what every attempt cost. A workflow drives its
 * workers by it, and so does an activity that drives many: hence here, and pure.
 */
export async function driveWorkerTurns({ invoke, spendLimitMs = Infinity, sleep, waitingFor, cut }: TurnsWorld): Promise<WorkerTurns> {
  let bill = noBill;
  const telemetry: Telemetry[] = [];
  const seen = { crashes: 0, waits: 0, timeouts: 0 };
  let hasTold = false;
  for (let invocation = 0; invocation < MAX_INVOCATIONS; invocation++) {
    const leftMs = spendLimitMs - bill.billedMs;
    if (leftMs <= 0) {
      await cut({ kind: 'spent' });
      return { bill, telemetry };
    }
    const outcome = await invoke({ ...(leftMs < Infinity && { spendLimitMs: leftMs }), ...(hasTold && { hasTold }) });
    bill = addBills(bill, outcome.bill);
    if ('telemetry' in outcome) telemetry.push(outcome.telemetry);
    if (outcome.kind === 'done' || outcome.kind === 'superseded') return { bill, telemetry };
    if (outcome.kind === 'waiting') {
      waitingFor?.(outcome.slow);
      hasTold = true;
    }
    const why = troubleOf(outcome, seen);
    if (why) {
      await cut(why);
      return { bill, telemetry };
    }
    if (outcome.kind !== 'reached') await sleep(backoffMs(seen.crashes + seen.waits));
  }
  await cut({ kind: 'failed', error: { code: 'FunctionFailed', message: `a worker did not end within ${MAX_INVOCATIONS} invocations` } });
  return { bill, telemetry };
}

/** What an outcome means for the round; null: invoke again, the new instance resolves and goes on. */
function troubleOf(
  outcome: Exclude<TrainOutcome, { kind: 'done' | 'superseded' }>,
  seen: { crashes: number; waits: number; timeouts: number },
): Trouble | null {
  switch (outcome.kind) {
    case 'reached':
      return null;
    case 'spent':
      return { kind: 'spent' };
    case 'waiting':
      return ++seen.waits > MAX_WAITS ? { kind: 'noSlots' } : null;
    case 'crashed':
      if (++seen.crashes <= MAX_CRASHES) return null;
      return {
        kind: 'failed',
        error: { code: 'FunctionFailed', message: `the train function crashed ${seen.crashes} times in one round: ${outcome.message}` },
      };
    case 'timedOut':
      return ++seen.timeouts > MAX_TIMEOUTS ? { kind: 'timedOut' } : null;
    case 'outOfMemory':
      return { kind: 'outOfMemory', memoryMib: outcome.memoryMib };
    case 'failed':
      // A store that cannot be reached is waited for like a name: an outage is longer than a crash.
      if (outcome.error.code === 'StoreUnavailable' && ++seen.waits <= MAX_WAITS) return null;
      if (isErrorCode(outcome.error.code) && isRetryable(outcome.error.code) && ++seen.crashes <= MAX_CRASHES) return null;
      return { kind: 'failed', error: outcome.error };
  }
}

const backoffMs = (attempts: number): number => Math.min(5_000, 50 * 2 ** attempts);
