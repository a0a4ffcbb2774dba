import { laterPhases, phaseAt } from '../contracts/batch-size';
import { mostLanes } from '../contracts/cut';
import { minimizeOf } from '../contracts/goal';
import { laneStateBytes } from '../contracts/lane-state';
import type { TrackContext } from '../contracts/round';
import { mostRoundSteps } from '../contracts/round-length';
import { partBytes } from '../contracts/synchronization';
import { defined } from './defined';
import type { EngineDependencies } from './dependencies';
import { exchangeOptions } from './exchanges';
import { roundBounds } from './round-plan';
import type { NextQuestion } from './scheduling-question';

/** Changes of allocation a track may make; the scheduler counts to the same number. */
const MAX_SWITCHES = 12;

/** All of a question but the names of what it is about. */
export type Standing = Omit<NextQuestion, 'run' | 'track' | 'recipe' | 'round' | 'from' | 'pauseAtStep' | 'earlyStopping'>;

/** A round's question in the scheduler's own words. */
export function schedulerInput(engine: EngineDependencies, question: Standing, context: Pick<TrackContext, 'job' | 'program' | 'recipeBody'>) {
  const { job, program, recipeBody } = context;
  const { grant, wholeGoal, accepted, switches, nowMs, spentNanoUsd, step, current, observations, phase, probesLeft, forbidden } = question;
  const { untilStep, plannedStep = untilStep, openEnded } = question;
  const minimize = minimizeOf(job.goal);
  const { limits, prices } = engine.platform;
  const minWorkers = job.allocation.minWorkers ?? 1;
  const heldBackBytes = laneStateBytes(recipeBody, program.paramCount, mostLanes(recipeBody.lanes, minWorkers));
  const laneBytes = heldBackBytes + partBytes(recipeBody, program.paramCount);
  return {
    goal: { minimize, ...defined(grant) },
    ...(wholeGoal ? { wholeGoal: { minimize, ...defined(wholeGoal) } } : {}),
    // Without a limit nothing was promised that a rescue could break.
    ...(accepted && (grant.budgetNanoUsd !== undefined || grant.deadlineAtMs !== undefined) ? { accepted } : {}),
    switches: Math.min(switches, MAX_SWITCHES),
    nowMs,
    spentNanoUsd,
    reservedNanoUsd: 0,
    remainingSteps: Math.max(1, Math.min(untilStep, plannedStep) - step),
    ...(openEnded ? { openEnded } : {}),
    stepsDone: step,
    ...(current ? { current } : {}),
    observations: [...observations],
    program: {
      paramCount: program.paramCount,
      bufferCount: program.bufferCount,
      peakMemoryMib: program.peakMemoryMib + laneBytes / 2 ** 20,
      forwardFlopsPerSample: program.forwardFlopsPerSample,
      ...defined({ gradientMsPerSample: program.gradientMsPerSample, coldStartMs: program.coldStartMs }),
    },
    batchSize: phaseAt(recipeBody, step).batchSize,
    laterSteps: laterPhases(recipeBody, step, Math.max(step + 1, Math.min(untilStep, plannedStep))),
    lanes: recipeBody.lanes,
    bounds: {
      minWorkers,
      maxWorkers: job.allocation.maxWorkers ?? limits.concurrency,
      ...defined({ memoryMib: job.allocation.memoryMib }),
      minMemoryMib: limits.minMemoryMib,
      maxMemoryMib: limits.maxMemoryMib,
      concurrency: limits.concurrency,
      totalCores: limits.totalCores,
    },
    prices,
    exchanges: exchangeOptions(engine, job),
    topology: job.synchronization.topology,
    ...defined({ groups: job.synchronization.groups }),
    ...defined({ compression: recipeBody.compression, localSteps: recipeBody.localSteps }),
    mostRoundSteps: mostRoundSteps(roundBounds(context)),
    phase,
    probesLeft,
    forbidden: defined(forbidden),
    seed: recipeBody.seed,
  };
}
