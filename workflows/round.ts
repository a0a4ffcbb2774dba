import { condition, sleep } from '@temporalio/workflow';
import { addBills, noBill, type Bill } from '../contracts/money';
import { Hedges } from '../contracts/hedging';
import type { Round, Telemetry, TrainOutcome } from '../contracts/round';
import { driveWorkerTurns, type Trouble, type TurnTerms } from '../contracts/worker-turns';
import type { Committed } from '../activities/rounds';
import { commitRound, cutShort, driveChunk, invokeTrainer } from './activities';

/** Up to here each worker has an activity of its own; 128 of them would cost 0.8 s a round, chunks of 16 cost 70 ms. */
const CHUNK_WORKERS = 16;
/** Chunks grow so that a thousand workers are 16 activities, not 63; beyond 64 workers a dead Temporal worker would lose too much. */
const LARGEST_CHUNK = 64;
const chunkOf = (workers: number) => Math.min(LARGEST_CHUNK, Math.max(CHUNK_WORKERS, Math.ceil(workers / CHUNK_WORKERS)));

export interface RoundResult {
  readonly committed: Committed;
  readonly bill: Bill;
  readonly telemetry: readonly Telemetry[];
  readonly trouble: Trouble | null;
  /** Second copies of stragglers; some may still run, and their bills come late. */
  readonly hedges: Hedges;
}
type Cut = (why: Trouble) => Promise<Committed>;
interface Driven {
  readonly bill: Bill;
  readonly telemetry: readonly Telemetry[];
}

/** Runs one round as a batch of activities and commits it: at its last step, or where it was cut short. */
export async function driveRound(round: Round, stopRequested: () => boolean, deadlineInMs: number | undefined): Promise<RoundResult> {
  let trouble: Trouble | null = null;
  let cutting: Promise<Committed> | undefined;
  // Whoever comes first cuts the round; the other instances find its manifest and end.
  const cut: Cut = (why) => {
    trouble ??= why;
    return (cutting ??= cutShort(round));
  };
  let driving = true;
  const watching = cutOnStop({ done: () => !driving, stopRequested, deadlineInMs, cut });
  const { workers } = round.allocation;
  const size = chunkOf(workers);
  const { spendLimitMs } = round;
  const hedges = new Hedges((worker, terms) => invokeWorker(round, worker, terms));
  const driven = await Promise.all(
    workers <= CHUNK_WORKERS
      ? Array.from({ length: workers }, (_, worker) =>
          driveWorkerTurns({
            spendLimitMs,
            invoke: (terms) => hedges.run(worker, terms),
            waitingFor: (slow) => hedges.waitedFor(slow),
            sleep: (ms) => sleep(ms),
            cut,
          }),
        )
      : Array.from({ length: Math.ceil(workers / size) }, (_, chunk) =>
          driveWorkers(round, chunk * size, Math.min(workers, (chunk + 1) * size), cut),
        ),
  );
  driving = false;
  await watching;
  const committed = await (cutting ?? commitRound(round));
  return {
    committed,
    bill: driven.map(({ bill }) => bill).reduce(addBills, noBill),
    telemetry: driven.flatMap((one) => one.telemetry),
    trouble,
    hedges,
  };
}

/** A stop or the deadline ends a round at its newest complete step, while its functions run. */
async function cutOnStop({
  done,
  stopRequested,
  deadlineInMs,
  cut,
}: {
  done: () => boolean;
  stopRequested: () => boolean;
  deadlineInMs: number | undefined;
  cut: Cut;
}): Promise<void> {
  const woken = () => done() || stopRequested();
  if (deadlineInMs === undefined) {
    await condition(woken);
    if (!done()) await cut({ kind: 'stopped' });
    return;
  }
  const inTime = await condition(woken, Math.max(1, deadlineInMs));
  if (!done()) await cut({ kind: inTime ? 'stopped' : 'deadline' });
}

/** One invocation of a worker, as an activity of its own. */
function invokeWorker({ run, track, round, first, last, allocation, python }: Round, worker: number, terms: TurnTerms): Promise<TrainOutcome> {
  const summary = `${track}: worker ${worker + 1} of ${allocation.workers}, steps ${first} to ${last}`;
  const turn = { run, track, round, worker, memoryMib: allocation.memoryMib, ...(python && { python }) };
  return invokeTrainer.executeWithOptions({ summary }, [{ ...turn, ...terms }]);
}

async function driveWorkers(round: Round, start: number, end: number, cut: Cut): Promise<Driven> {
  const workers = Array.from({ length: end - start }, (_, i) => start + i);
  const summary = `${round.track}: workers ${start + 1} to ${end} of ${round.allocation.workers}, steps ${round.first} to ${round.last}`;
  const { bill, slowest, trouble } = await driveChunk.executeWithOptions({ summary }, [{ round, workers }]);
  if (trouble) await cut(trouble);
  return { bill, telemetry: slowest ? [slowest] : [] };
}
