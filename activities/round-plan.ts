import { phaseAt } from '../contracts/batch-size';
import { cutOf } from '../contracts/cut';
import type { Checkpoint, RoundPlan, TrackContext } from '../contracts/round';
import { mostRoundSteps } from '../contracts/round-length';
import type { Decision } from '../contracts/scheduling';
import { LOSS_WINDOW } from '../contracts/step-names';
import { groupsFor } from '../scheduler';
import { defined } from './defined';
import type { EngineDependencies } from './dependencies';
import { exchangeFor } from './exchanges';
import { checkpointOf, readManifest } from './rounds';
import type { NextQuestion } from './scheduling-question';
import { keptStep } from './validation';

/** Waits of the step protocol; a worker raises them to twice its own median step (contracts.md section 3). */
const TIMES = { waitMs: 1_000, giveUpMs: 30_000, lookMs: 1_000, marginMs: 5_000 };

/** A decision as the functions read it: which steps, from which state, cut how. */
export async function planOf(
  engine: EngineDependencies,
  question: NextQuestion,
  context: TrackContext,
  decision: Decision & { kind: 'run' | 'probe' },
): Promise<RoundPlan> {
  const { store, platform } = engine;
  const { allocation, reason, spendLimitMs } = decision;
  const { job, program, recipeBody } = context;
  const { run, track, recipe, round, step, untilStep, pauseAtStep = Infinity, from } = question;
  const { topology, groups: fixed, compression, localSteps } = job.synchronization;
  const { lanes } = recipeBody;
  const { paramCount, bufferCount } = program;
  const { exchange, option } = exchangeFor(engine, job, allocation);
  const { workers, laneUnit } = allocation;
  const exchanged = {
    exchange: option.kind,
    shards: option.shards,
    topology,
    groups: fixed,
    compression,
    localSteps,
    lanes,
    laneUnit,
    paramCount,
    bufferCount,
  };
  const groups = groupsFor(exchanged, workers);
  const start: Checkpoint = from ? checkpointOf(await readManifest(store, from)) : { kind: 'initial' };
  // A round never crosses a loss window's border, so that the newest state holds every loss of its round.
  const windowEnd = (Math.floor(step / LOSS_WINDOW) + 1) * LOSS_WINDOW;
  const last = Math.min(
    step + (job.allocation.stepsPerRound ?? allocation.steps),
    step + mostRoundSteps(roundBounds(context)),
    untilStep,
    pauseAtStep,
    phaseAt(recipeBody, step).endStep,
    windowEnd,
  );
  return {
    formatVersion: 1,
    run,
    track,
    recipe,
    recipeBody,
    round,
    first: step,
    last,
    allocation: { ...allocation, steps: last - step },
    topology,
    ...(groups === undefined ? {} : { groups }),
    cut: cutOf({ topology, lanes, laneUnit, paramCount, workers }),
    start,
    dataUri: job.data.train,
    exchangeUri: exchange.uri,
    storeUri: store.uri,
    // A short time limit must leave room for more than one step.
    times: {
      ...TIMES,
      giveUpMs: Math.min(TIMES.giveUpMs, platform.limits.timeoutMs / 4),
      marginMs: Math.min(TIMES.marginMs, platform.limits.timeoutMs / 4),
      ...(decision.kind === 'run' && defined({ hedgeAfterMs: decision.hedgeAfterMs })),
    },
    reproducibility: job.reproducibility ?? (platform.uniformCpus ? 'bits' : 'values'),
    reason,
    ...defined({ spendLimitMs, keepStep: await keptStep(store, question, question.earlyStopping) }),
    ...(program.python && { python: program.python }),
    ...(option.usdPerHour > 0 && { exchangeUsdPerHour: option.usdPerHour }),
  };
}

/** What bounds a round's length whatever is decided. */
export const roundBounds = ({ job, program, recipeBody }: Pick<TrackContext, 'job' | 'program' | 'recipeBody'>) => ({
  stepsPerRound: job.allocation.stepsPerRound,
  compression: recipeBody.compression,
  localSteps: recipeBody.localSteps,
  paramCount: program.paramCount,
});
