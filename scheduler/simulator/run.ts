import { laterPhases, phaseAt, type Batches } from '../../contracts/batch-size';
import type { Minimize } from '../../contracts/goal';
import type { Allocation } from '../../contracts/allocation';
import type { AllocationBounds, Decision, DecisionRequest, Observation } from '../../contracts/scheduling';
import { nanoUsd } from '../../contracts/units';
import { decideNext } from '../decide';
import { median } from '../normal';
import { compactObservations } from '../observations';
import { noCounts, type Counts } from './counts';
import { Draws } from './draws';
import { Instances } from './instances';
import { InvocationLedger } from './ledger';
import { simulateRound, type RoundOutcome } from './round';
import type { Machinery } from './round-state';
import { SlowEpisodes } from './slow-episodes';
import type { StepPhases } from './step-phases';
import type { World } from './world';

/** What is to be trained, and for which goal. */
export interface SimulatedJob {
  readonly goal: { readonly minimize: Minimize; readonly deadlineMs?: number | undefined; readonly budgetUsd?: number | undefined };
  readonly totalSteps: number;
  readonly batches: Batches;
  readonly lanes: number;
  /** What the scheduler is told: as of a job's own check. */
  readonly program: DecisionRequest['program'];
  readonly bounds: AllocationBounds;
  readonly exchange: NonNullable<DecisionRequest['exchange']>;
  readonly topology?: DecisionRequest['topology'];
  readonly compression?: DecisionRequest['compression'];
  /** Longer rounds are cut; left out: none is. */
  readonly mostRoundSteps?: number;
  readonly prices: DecisionRequest['prices'];
  /** Short rounds of a profile stage, at most; 0: training begins at once. */
  readonly probes: number;
}
/** Decides what to run next. The default is the scheduler itself; baselines have their own. */
export type Policy = (request: DecisionRequest) => Decision;

export interface SimulationOptions {
  readonly world: World;
  readonly job: SimulatedJob;
  /** What a step of so many workers moves, whose lanes are cut in such units. */
  readonly phases: (workers: number, laneUnit?: number) => StepPhases;
  readonly policy?: Policy;
  readonly seed: number;
}
export interface SimulatedRoundRecord {
  readonly kind: 'probe' | 'run';
  readonly startMs: number;
  readonly endMs: number;
  readonly workers: number;
  readonly memoryMib: number;
  readonly firstStep: number;
  readonly steps: number;
  readonly batchSize: number;
  readonly stepMs: number;
  readonly spentNanoUsd: number;
  readonly crashes: number;
  readonly restarts: number;
  readonly trouble?: string;
  readonly reason: string;
}
export interface SimulatedRun {
  readonly outcome: 'completed' | 'budgetExhausted' | 'deadlineReached' | 'infeasibleGoal' | 'failed';
  readonly reason: string;
  readonly steps: number;
  readonly timeMs: number;
  readonly costNanoUsd: Readonly<Record<'functions' | 'requests' | 'store' | 'exchange' | 'total', number>>;
  readonly gbSeconds: number;
  readonly invocations: InvocationLedger;
  readonly counts: Readonly<Counts>;
  /** Positive: time left. Null without a deadline. */
  readonly deadlineMarginMs: number | null;
  readonly budgetMarginNanoUsd: number | null;
  /** Share of the billed time in which workers computed. */
  readonly utilisation: number;
  readonly rounds: readonly SimulatedRoundRecord[];
}

const HOUR_MS = 3_600_000;
/** Objects of a round beside its functions': the plan and the manifest. Of a function: its parameters and its state. Source: overheads.ts. */
const ROUND_PUTS = 2;
const TURN_PUTS = 2;
const TURN_GETS = 2;
const MOST_ROUNDS = 20_000;
/** Rounds in a row without a step, until the run is given up. */
const MOST_BARREN_ROUNDS = 8;

/**
 * Runs a whole training in simulated time: the scheduler decides, rounds run as discrete events, what they show goes back
 * to the scheduler. Pure: the same options give the same bits.
 */
export function simulateRun({ world, job, phases, policy = decideNext, seed }: SimulationOptions): SimulatedRun {
  const draws = new Draws(seed);
  const ledger = new InvocationLedger(world.workers);
  const machinery: Machinery = {
    world,
    draws,
    ledger,
    instances: new Instances(),
    episodes: new SlowEpisodes(world.faults, draws),
    counts: noCounts(),
  };
  const { counts } = machinery;
  const known = new Map<string, StepPhases>();
  const phasesOf = ({ workers, laneUnit }: Allocation) => {
    const key = `${workers} ${laneUnit}`;
    return known.get(key) ?? known.set(key, phases(workers, laneUnit)).get(key)!;
  };
  const rounds: SimulatedRoundRecord[] = [];
  let observations: Observation[] = [];
  let forbidden: DecisionRequest['forbidden'] = {};
  let [nowMs, step, probes, switches, barren, storeNanoUsd] = [0, 0, 0, 0, 0, 0];
  let current: DecisionRequest['current'];
  let accepted: DecisionRequest['accepted'];
  let phase: 'profile' | 'run' = job.probes > 0 ? 'profile' : 'run';
  const { exchange } = world;
  // Requests to the exchange are on the invocations' bills; the hours of a node, and bytes, are on nobody's.
  const requestsToExchange = () => nanoUsd(counts.puts * exchange.usdPerPut + counts.gets * exchange.usdPerGet);
  const spent = () => ledger.computeNanoUsd + ledger.requestsNanoUsd + storeNanoUsd + requestsToExchange();
  const { deadlineMs, budgetUsd, minimize } = job.goal;
  const goal = {
    minimize,
    ...(deadlineMs !== undefined && { deadlineAtMs: deadlineMs }),
    ...(budgetUsd !== undefined && { budgetNanoUsd: nanoUsd(budgetUsd) }),
  };
  const finished = (outcome: SimulatedRun['outcome'], reason: string): SimulatedRun => {
    const heldNanoUsd = nanoUsd((nowMs / HOUR_MS) * exchange.usdPerHour + counts.movedBytes * exchange.usdPerByte);
    const exchangeNanoUsd = requestsToExchange() + heldNanoUsd;
    const total = spent() + heldNanoUsd;
    const costNanoUsd = { functions: ledger.computeNanoUsd, requests: ledger.requestsNanoUsd, store: storeNanoUsd, exchange: exchangeNanoUsd, total };
    return {
      ...{ outcome, reason, steps: step, timeMs: nowMs, costNanoUsd, gbSeconds: ledger.gbSeconds, invocations: ledger, counts, rounds },
      deadlineMarginMs: deadlineMs === undefined ? null : deadlineMs - nowMs,
      budgetMarginNanoUsd: goal.budgetNanoUsd === undefined ? null : goal.budgetNanoUsd - total,
      utilisation: ledger.billedMs === 0 ? 0 : counts.computeMs / ledger.billedMs,
    };
  };

  for (let round = 0; round < MOST_ROUNDS; round += 1) {
    if (step >= job.totalSteps) return finished('completed', `trained ${step} steps`);
    const batch = phaseAt(job.batches, step);
    const decision = policy({
      // Profiling may take a tenth of each limit, as in the pipeline; plans are held against the whole goal.
      ...{ goal, ...(phase === 'profile' && { wholeGoal: goal }), nowMs, spentNanoUsd: spent(), reservedNanoUsd: 0 },
      ...{ remainingSteps: job.totalSteps - step, stepsDone: step, observations, program: job.program, batchSize: batch.batchSize },
      ...{ laterSteps: laterPhases(job.batches, step, job.totalSteps), lanes: job.lanes, bounds: job.bounds, prices: job.prices },
      ...{
        exchange: job.exchange,
        topology: job.topology,
        groups: 1, // what its workers move is given, not chosen
        compression: job.compression,
        mostRoundSteps: job.mostRoundSteps,
        phase,
        probesLeft: job.probes - probes,
        forbidden,
        switches,
        seed,
      },
      ...(current && { current }),
      ...(accepted && phase === 'run' && { accepted }),
    });
    if (decision.kind === 'finish' && phase === 'profile') {
      phase = 'run';
      continue;
    }
    if (decision.kind === 'finish') return finished('completed', decision.reason);
    if (decision.kind !== 'probe' && decision.kind !== 'run') return finished(decision.kind, decision.reason);
    const { allocation, prediction } = decision;
    if (decision.kind === 'probe') probes += 1;
    else {
      phase = 'run';
      if (current && (current.workers !== allocation.workers || current.memoryMib !== allocation.memoryMib)) switches = Math.min(12, switches + 1);
      if (deadlineMs !== undefined || budgetUsd !== undefined)
        accepted ??= {
          totalNanoUsdP95: Math.ceil(spent() + Math.max(prediction.remainingNanoUsd.p95, 5e6)),
          finishAtMsP95: nowMs + prediction.remainingMs.p95,
        };
    }
    current = allocation;
    const before = { spent: spent(), crashes: counts.crashes, restarts: counts.restarts, copies: counts.copies };
    const order = {
      ...{ workers: allocation.workers, memoryMib: allocation.memoryMib, firstStep: step, batchSize: batch.batchSize },
      ...{ steps: Math.min(allocation.steps, batch.endStep - step, job.totalSteps - step), stopAtMs: deadlineMs ?? Infinity, attempt: barren },
      spendLimitMs: decision.spendLimitMs ?? Infinity,
      hedgeAfterMs: (decision.kind === 'run' ? decision.hedgeAfterMs : undefined) ?? Infinity,
      atMs: nowMs + world.orchestrationMs(allocation.workers) / 2,
    };
    const outcome = simulateRound(machinery, order, phasesOf(allocation));
    const puts = ROUND_PUTS + TURN_PUTS * allocation.workers;
    storeNanoUsd += nanoUsd(puts * world.usdPerPut + TURN_GETS * allocation.workers * world.usdPerGet);
    const startMs = nowMs;
    nowMs = outcome.endMs + world.orchestrationMs(allocation.workers) / 2;
    const steps = outcome.stepEndsMs.length;
    const stepMs = medianStepMs(outcome);
    if (steps > 0)
      observations = compact([
        ...observations,
        observationOf({
          outcome,
          allocation,
          round,
          batchSize: batch.batchSize,
          wallMs: nowMs - startMs,
          billedNanoUsd: spent() - before.spent,
          world,
          stepMs,
          isUntouched: counts.crashes + counts.restarts + counts.copies === before.crashes + before.restarts + before.copies,
        }),
      ]);
    step += steps;
    rounds.push({
      ...{ kind: decision.kind, startMs, endMs: nowMs, workers: allocation.workers, memoryMib: allocation.memoryMib, firstStep: step - steps, steps },
      ...{ batchSize: batch.batchSize, stepMs, spentNanoUsd: spent(), reason: decision.reason },
      ...{ crashes: counts.crashes - before.crashes, restarts: counts.restarts - before.restarts },
      ...(outcome.trouble && { trouble: outcome.trouble }),
    });
    if (outcome.trouble === 'crashing') return finished('failed', 'one worker crashed again and again in a round');
    if (outcome.trouble === 'outOfMemory') forbidden = { ...forbidden, memoryMibBelow: allocation.memoryMib + 1 };
    if (steps === 0 && (outcome.trouble === 'timedOut' || outcome.trouble === 'spent')) {
      const { workers, memoryMib } = allocation;
      const kind = outcome.trouble === 'spent' ? 'tooDear' : 'tooSlow';
      forbidden = { ...forbidden, [kind]: [...(forbidden[kind] ?? []), { workers, memoryMib }] };
    }
    barren = steps > 0 ? 0 : barren + 1;
    if (outcome.trouble !== 'stopped' && barren > MOST_BARREN_ROUNDS) return finished('failed', `${barren} rounds in a row made no step`);
  }
  return finished('failed', `${MOST_ROUNDS} rounds were not enough`);
}

/** Median time between the ends of steps; the first counts from when the first worker was ready. */
function medianStepMs({ stepEndsMs, readyMs }: RoundOutcome): number {
  return stepEndsMs.length === 0 ? 0 : median(stepTimesMs({ stepEndsMs, readyMs }));
}
const stepTimesMs = ({ stepEndsMs, readyMs }: Pick<RoundOutcome, 'stepEndsMs' | 'readyMs'>): number[] =>
  Array.from(stepEndsMs, (endMs, i) => endMs - (i === 0 ? readyMs : stepEndsMs[i - 1]!));

/** What a round of the product would have told. Source: workflows/track.ts. */
function observationOf({
  outcome,
  allocation,
  round,
  batchSize,
  wallMs,
  billedNanoUsd,
  world,
  stepMs,
  isUntouched,
}: {
  readonly outcome: RoundOutcome;
  readonly allocation: Observation['allocation'];
  readonly round: number;
  readonly batchSize: number;
  readonly wallMs: number;
  readonly billedNanoUsd: number;
  readonly world: World;
  readonly stepMs: number;
  /** No worker was invoked again or had a copy: then its longest step tells of stragglers. */
  readonly isUntouched: boolean;
}): Observation {
  const steps = outcome.stepEndsMs.length;
  const { compute, upload, wait, merge, download } = outcome.partsMs;
  const inStepsMs = outcome.stepEndsMs[steps - 1]! - outcome.readyMs;
  return {
    ...{ allocation, round, batchSize, steps, wallMs, stepMs, billedNanoUsd, cold: outcome.isCold, initMs: outcome.longestInitMs, merged: 1 },
    parts: {
      ...{ computeMs: compute / steps, uploadMs: upload / steps, waitMs: wait / steps },
      ...{ downloadMs: (merge + download) / steps, reduceMs: 0, otherMs: 0 },
    },
    ...(isUntouched && { longestStepMs: Math.max(...stepTimesMs(outcome)) }),
    orchestrationMs: Math.max(0, wallMs - inStepsMs - world.turnMs - outcome.longestInitMs),
    peakRssMib: world.work.peakMemoryMib,
    failures: { outOfMemory: 0, timedOut: outcome.trouble === 'timedOut' ? 1 : 0 },
  };
}

const CARRIED_OBSERVATIONS = 24;
const compact = (list: Observation[]) => (list.length > CARRIED_OBSERVATIONS ? compactObservations(list) : list);
