import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { z } from 'zod';
import { activityRetry } from '../contracts/activity-retry';
import { SmltError } from '../contracts/errors';
import type { PythonRuntime } from '../contracts/functions';
import { addBills, Bill, noBill } from '../contracts/money';
import { TrainAnswer, type Assignment, type Round, type Telemetry, type TrainOutcome, type WorkerTurn } from '../contracts/round';
import { Hedges } from '../contracts/hedging';
import { driveWorkerTurns, type Trouble, type TurnTerms } from '../contracts/worker-turns';
import { lostBill } from './bills';
import type { EngineDependencies } from './dependencies';
import { tellWithHeartbeats } from './heartbeats';
import { unheardOfTurn } from './lost-requests';
import { callFunction, invokeFunction, type Answered } from './invocation';
import { createRoundActivities } from './rounds';

const ChunkBeat = z.object({ bill: Bill, done: z.array(z.int()), flying: z.array(z.object({ worker: z.int(), sinceMs: z.number() })) });

export interface ChunkResult {
  readonly bill: Bill;
  /** The slowest worker's, what the scheduler learns from; with the values that all of them took over. */
  readonly slowest: Telemetry | null;
  readonly trouble: Trouble | null;
}

export function createTrainingActivities(engine: EngineDependencies) {
  const { platform, store, nowMs } = engine;
  const specOf = (memoryMib: number, python: PythonRuntime | undefined) =>
    ({ role: 'train', memoryMib, timeoutMs: platform.limits.timeoutMs, ...(python && { python }) }) as const;
  const outcomeOf = (outcome: Answered<TrainAnswer>): TrainOutcome =>
    outcome.kind === 'answered' ? { ...outcome.answer, bill: outcome.bill } : outcome;

  return {
    /** Runs one worker's turn. A function's failure is an outcome with its bill, not an exception. */
    async invokeTrainer(turn: WorkerTurn): Promise<TrainOutcome> {
      const assignment: Assignment = { ...turn, storeUri: store.uri };
      const unheard = unheardOfTurn(store, turn, turn.worker);
      return outcomeOf(await invokeFunction(engine, specOf(turn.memoryMib, turn.python), assignment, TrainAnswer, unheard));
    },

    /**
     * Drives many workers to their end, by the loop that a workflow drives one by. Heartbeats carry who is done and what it
     * cost, so a dead Temporal worker loses only what is flying, however old the chunk is.
     */
    async driveChunk({ round, workers }: { round: Round; workers: readonly number[] }): Promise<ChunkResult> {
      const before = ChunkBeat.safeParse(Context.current().info.heartbeatDetails);
      const { run, track, allocation } = round;
      const { memoryMib } = allocation;
      const done = new Set(before.success ? before.data.done : []);
      const flying = new Set<{ readonly worker: number; readonly sinceMs: number }>();
      const unheard = (worker: number) => unheardOfTurn(store, { run, track, round: round.round }, worker);
      let bill = before.success ? before.data.bill : noBill;
      for (const { worker, sinceMs } of before.success ? before.data.flying : [])
        bill = addBills(bill, await lostBill(engine, sinceMs, memoryMib, unheard(worker)));
      let trouble: Trouble | null = null;
      let slowest: Telemetry | null = null;
      let adopted = 0;
      const fly = async (worker: number, terms: TurnTerms): Promise<TrainOutcome> => {
        const flight = { worker, sinceMs: nowMs() };
        flying.add(flight);
        try {
          const assignment: Assignment = { storeUri: store.uri, run, track, round: round.round, worker, memoryMib, ...terms };
          const outcome = outcomeOf(await callFunction(engine, specOf(memoryMib, round.python), assignment, TrainAnswer, unheard(worker)));
          bill = addBills(bill, outcome.bill);
          return outcome;
        } finally {
          flying.delete(flight);
        }
      };
      const hedges = new Hedges((worker, terms) => untilAccepted(() => fly(worker, terms)));
      const driving = Promise.all(
        workers
          .filter((worker) => !done.has(worker))
          .map(async (worker) => {
            const turns = await driveWorkerTurns({
              spendLimitMs: round.spendLimitMs,
              invoke: (terms) => hedges.run(worker, terms),
              waitingFor: (slow) => hedges.waitedFor(slow),
              sleep,
              cut: async (why) => {
                trouble ??= why;
                // At once, not by way of the workflow: the others must not run on.
                await createRoundActivities(engine).cutShort(round);
              },
            });
            done.add(worker);
            for (const one of turns.telemetry) {
              adopted += one.adopted;
              if (slowest === null || one.wallMs > slowest.wallMs) slowest = one;
            }
          }),
      );
      // Told once all are flying: the first heartbeat goes out at once, the next ones seconds later.
      tellWithHeartbeats(() => ({ bill, done: [...done], flying: [...flying] }));
      await driving;
      await hedges.drain();
      return { bill, slowest: slowest && { ...(slowest as Telemetry), adopted }, trouble };
    },
  };
}

/** What ran nothing is tried again here: a failure of the activity would abandon its other workers while they run. */
async function untilAccepted<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof SmltError && error.retryable) || attempt >= activityRetry.maximumAttempts) throw error;
      await sleep(Math.min(activityRetry.maximumIntervalMs, activityRetry.initialIntervalMs * activityRetry.backoffCoefficient ** (attempt - 1)));
    }
  }
}
