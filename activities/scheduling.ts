import { laterPhases, phaseAt, totalStepsOf } from '../contracts/batch-size';
import { keepsLaneStates, laneStateBytes } from '../contracts/compression';
import { canonicalJson } from '../contracts/canonical-json';
import { minimizeOf } from '../contracts/goal';
import { localStepBytes } from '../contracts/synchronization';
import { smallerIsBetter } from '../contracts/metrics';
import { names, type TrackId } from '../contracts/names';
import type { WeightsReference } from '../contracts/functions';
import type { EarlyStopping } from '../contracts/validation';
import { parseJob, type Job } from '../contracts/job';
import type { Grant } from '../contracts/money';
import type { Carried } from '../contracts/pipeline';
import type { PrepareAnswer } from '../contracts/functions';
import type { RoundManifest } from '../contracts/round';
import { RoundPlan, type Allocation, type Checkpoint, type Recipe, type Round, type TrackContext } from '../contracts/round';
import { Learnt, type Decision, type ExchangeKind, type Forbidden, type Observation } from '../contracts/scheduling';
import {
  compactObservations,
  decideNext as decide,
  groupsFor,
  medianPrune,
  suggestTrial as suggest,
  withParameters,
  type ParameterValue,
  type ParameterValues,
  type PastTrial,
} from '../scheduler';
import { sha256Hex } from '../storage/digest';
import { cutOf } from '../contracts/cut';
import { slotCount } from '../training/optimizers';
import type { EngineDependencies } from './dependencies';
import { decodeRecord, encodeRecord, findRecord } from './records';
import { mostRoundSteps } from '../contracts/round-length';
import { LOSS_WINDOW } from '../contracts/step-names';
import { checkpointOf, readContext, readManifest } from './rounds';
import { keptStep } from './validation';

/** Waits of the step protocol; a worker raises them to twice its own median step (contracts.md section 3). */
const TIMES = { waitMs: 1_000, giveUpMs: 30_000, lookMs: 1_000, marginMs: 5_000 };
const RECIPE_DIGITS = 16;
const CARRIED_OBSERVATIONS = 24;
/** Half a cent: below it one lost invocation, charged at its upper bound, would already break the promise of a small run. */
const SMALLEST_PROMISE_NANO_USD = 5_000_000;
/** Changes of allocation a track may make; the scheduler counts to the same number. */
const MAX_SWITCHES = 12;

type Accepted = NonNullable<Carried['accepted']>;
export interface TrackOpening {
  readonly recipe: string;
  readonly nextRound: number;
  readonly step: number;
  readonly totalSteps: number;
  readonly loss: number | null;
  /** The newest committed round of the track, if there is one. */
  readonly weights: WeightsReference | null;
}
export interface NextQuestion {
  readonly run: string;
  readonly track: string;
  readonly recipe: string;
  readonly round: number;
  readonly step: number;
  readonly untilStep: number;
  /** The next validation: no round crosses it. */
  readonly pauseAtStep?: number | undefined;
  /** Where the work is forecast to end, if that is known and earlier; plans are made for it. */
  readonly plannedStep?: number | undefined;
  readonly earlyStopping?: EarlyStopping | undefined;
  /** The work may end at any step, so no forecast of its rest refuses it. */
  readonly openEnded?: boolean | undefined;
  /** The committed round to start from; null starts from the program's initial parameters. */
  readonly from: WeightsReference | null;
  readonly grant: Grant;
  readonly wholeGoal?: Grant | undefined;
  readonly switches: number;
  /** What the first decision promised: no later one passes twice its p95 without consent. */
  readonly accepted?: Accepted | undefined;
  readonly spentNanoUsd: number;
  readonly nowMs: number;
  readonly current: Allocation | null;
  readonly observations: readonly Observation[];
  readonly phase: 'profile' | 'run';
  readonly probesLeft: number;
  readonly forbidden: Forbidden;
}
/** `observations`: the question's, compacted, where they grew too many to travel. */
export type NextAnswer =
  | {
      readonly kind: 'round';
      readonly probe: boolean;
      readonly round: Round;
      readonly promised?: Accepted;
      readonly observations?: readonly Observation[];
    }
  | { readonly kind: 'stop'; readonly outcome: 'completed' | 'budgetExhausted' | 'deadlineReached' | 'infeasibleGoal'; readonly reason: string };

export function createSchedulingActivities({ store, exchange, platform }: EngineDependencies) {
  /** The recipe of a job's program: all that a training value depends on besides its step. */
  async function recipeOf(job: Job, program: PrepareAnswer, totalSteps: number): Promise<Recipe> {
    const { lanes, batchSize, batchSchedule, seed, optimizer, schedule, clipNorm, weightAverage } = job.training;
    const { compression, microBatches, localSteps } = job.synchronization;
    const { programDigest, dataSha256 } = program;
    const codeDigest = await platform.codeDigest(program.python);
    const base = { programDigest, codeDigest, dataSha256, lanes, batchSize, seed, totalSteps, optimizer, schedule };
    return { ...base, ...defined({ batchSchedule, clipNorm, weightAverage, compression, microBatches, localSteps }) };
  }

  return {
    /** Finds where a track stands, so that a run that is resumed, reset or started again goes on from what is committed. */
    async openTrack({
      run,
      track,
      job,
      program,
      startFrom,
    }: TrackId & { job: Job; program: PrepareAnswer; startFrom?: WeightsReference | undefined }): Promise<TrackOpening> {
      const totalSteps = totalStepsOf(job.training, program.samples);
      const rounds = (await store.list(names.rounds({ run, track })))
        .flatMap((name) => /\/rounds\/(\d+)\/manifest$/.exec(name)?.[1] ?? [])
        .map(Number);
      const newest = rounds.length > 0 ? { run, track, round: Math.max(...rounds) } : null;
      const from = newest ?? startFrom ?? null;
      const manifest = from && (await readManifest(store, from));
      const fresh = await recipeOf(job, program, totalSteps);
      const recipeBody =
        manifest === null || continuesUnchanged(await contextOf(manifest), fresh)
          ? withLineage(fresh, manifest && (await contextOf(manifest)).recipeBody)
          : { ...fresh, ...stateOf(fresh, manifest, (await contextOf(manifest)).recipeBody) };
      const recipe = sha256Hex(encodeRecord(recipeBody)).slice(0, RECIPE_DIGITS);
      const context: TrackContext = { formatVersion: 1, job, program, recipeBody, totalSteps };
      // Decided, not put: a changed goal or name is no change of the recipe.
      await store.decide(names.context({ run, track, recipe }), encodeRecord(context));
      return {
        recipe,
        nextRound: newest ? newest.round + 1 : 0,
        step: manifest?.step ?? 0,
        totalSteps,
        loss: manifest?.loss ?? null,
        weights: newest,
      };
    },

    /** Asks the scheduler what to run next and writes it down as the round's plan, which the functions read. */
    async decideNext(question: NextQuestion): Promise<NextAnswer> {
      const context = await readContext(store, question);
      const { run, track, recipe, round, step } = question;
      const stored = await findRecord(store, RoundPlan, names.plan(question, round));
      if (stored?.recipe === recipe && stored.first === step) return { kind: 'round', probe: question.phase === 'profile', round: roundOf(stored) };
      const earlier = question.phase === 'profile' ? await learntBefore(context.program, run) : [];
      const decision = decide({ ...schedulerInput(question, context), earlier });
      if (decision.kind === 'finish') return { kind: 'stop', outcome: 'completed', reason: decision.reason };
      if (decision.kind !== 'run' && decision.kind !== 'probe') return { kind: 'stop', outcome: decision.kind, reason: decision.reason };
      const plan = await planOf(question, context, decision);
      const name = names.plan({ run, track }, round);
      const decided = decodeRecord(RoundPlan, await store.decide(name, encodeRecord(plan)), name);
      const answer = { kind: 'round', probe: decision.kind === 'probe', round: roundOf(decided), promised: promiseOf(question, decision) } as const;
      return question.observations.length > CARRIED_OBSERVATIONS ? { ...answer, observations: compactObservations(question.observations) } : answer;
    },

    /** Keeps what a run has seen of its program for the next run's first choices. */
    async keepLearnt({ run, programDigest, observations }: { run: string; programDigest: string; observations: readonly unknown[] }): Promise<void> {
      if (observations.length === 0) return;
      const learnt: Learnt = { formatVersion: 1, run, observations: compactObservations(observations) };
      await store.replace(learntName(programDigest), encodeRecord(learnt));
    },

    /** The next trial's hyperparameters. Trial 0 is the job as it was written, which profile has begun to train. */
    async suggestTrial({
      job,
      history,
      index,
    }: {
      job: Job;
      history: readonly PastTrial[];
      index: number;
    }): Promise<{ parameters: ParameterValues; job: Job }> {
      const { tune, training } = job;
      if (!tune || index === 0) return { parameters: parametersOf(job), job };
      const parameters = suggest({
        parameters: tune.parameters,
        history,
        seed: training.seed,
        index,
        sampler: tune.sampler,
        minimize: smallerIsBetter(tune.metric),
        trials: tune.trials,
      });
      return { parameters, job: parseJob(withParameters(job, parameters)) };
    },
    async applyParameters({ job, parameters }: { job: Job; parameters: ParameterValues }): Promise<Job> {
      return parseJob(withParameters(job, parameters));
    },
    async shouldPrune({ metric, value, others, step }: { metric: string; value: number; others: readonly number[]; step: number }): Promise<boolean> {
      return medianPrune({ value, others, step, minimize: smallerIsBetter(metric) });
    },
  };

  /** Times hold where they were seen: the same platform, as many cores, the same kind of exchange. */
  function learntName(programDigest: string): string {
    const { prices, limits } = platform;
    const place = { prices, totalCores: Number.isFinite(limits.totalCores) ? limits.totalCores : null, exchange: exchangeKind(exchange.uri) };
    return names.learnt(programDigest, sha256Hex(encodeRecord(place)).slice(0, RECIPE_DIGITS));
  }
  async function learntBefore(program: PrepareAnswer, run: string): Promise<Observation[]> {
    const learnt = await findRecord(store, Learnt, learntName(program.programDigest));
    return learnt && learnt.run !== run ? learnt.observations : [];
  }

  async function contextOf(manifest: RoundManifest): Promise<TrackContext> {
    return readContext(store, manifest);
  }

  function schedulerInput(question: NextQuestion, { job, program, recipeBody }: TrackContext) {
    const { grant, wholeGoal, accepted, switches, nowMs, spentNanoUsd, step, current, observations, phase, probesLeft, forbidden } = question;
    const { untilStep, plannedStep = untilStep, openEnded } = question;
    const minimize = minimizeOf(job.goal);
    const { limits, prices } = platform;
    const minWorkers = job.allocation.minWorkers ?? 1;
    const heldBackBytes = laneStateBytes(recipeBody.compression, program.paramCount, Math.ceil(recipeBody.lanes / minWorkers));
    const laneBytes = heldBackBytes + localStepBytes(recipeBody.localSteps, program.paramCount);
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
      exchange: exchangeKind(exchange.uri),
      topology: job.synchronization.topology,
      ...defined({ groups: job.synchronization.groups }),
      ...defined({ compression: recipeBody.compression }),
      mostRoundSteps: mostRoundSteps(roundBounds(job, program, recipeBody)),
      phase,
      probesLeft,
      forbidden: defined(forbidden),
      seed: recipeBody.seed,
    };
  }

  async function planOf(
    question: NextQuestion,
    { job, program, recipeBody }: TrackContext,
    { allocation, reason }: Decision & { kind: 'run' | 'probe' },
  ): Promise<RoundPlan> {
    const { run, track, recipe, round, step, untilStep, pauseAtStep = Infinity, from } = question;
    const { topology, groups: fixed, compression } = job.synchronization;
    const { lanes } = recipeBody;
    const { paramCount, bufferCount } = program;
    const exchanged = { exchange: exchangeKind(exchange.uri), topology, groups: fixed, compression, lanes, paramCount, bufferCount };
    const groups = groupsFor(exchanged, allocation.workers);
    const start: Checkpoint = from ? checkpointOf(await readManifest(store, from)) : { kind: 'initial' };
    // A round never crosses a loss window's border, so that the newest state holds every loss of its round.
    const windowEnd = (Math.floor(step / LOSS_WINDOW) + 1) * LOSS_WINDOW;
    const last = Math.min(
      step + (job.allocation.stepsPerRound ?? allocation.steps),
      step + mostRoundSteps(roundBounds(job, program, recipeBody)),
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
      cut: cutOf({ topology, lanes, paramCount, workers: allocation.workers }),
      start,
      dataUri: job.data.train,
      exchangeUri: exchange.uri,
      storeUri: store.uri,
      // A short time limit must leave room for more than one step.
      times: {
        ...TIMES,
        giveUpMs: Math.min(TIMES.giveUpMs, platform.limits.timeoutMs / 4),
        marginMs: Math.min(TIMES.marginMs, platform.limits.timeoutMs / 4),
      },
      reproducibility: job.reproducibility ?? (platform.uniformCpus ? 'bits' : 'values'),
      reason,
      ...defined({ keepStep: await keptStep(store, question, question.earlyStopping) }),
      ...(program.python && { python: program.python }),
    };
  }
}

const roundBounds = ({ allocation: { stepsPerRound } }: Job, { paramCount }: PrepareAnswer, { compression }: Recipe) => ({
  stepsPerRound,
  compression,
  paramCount,
});

function promiseOf({ spentNanoUsd, nowMs }: NextQuestion, { prediction }: Decision & { kind: 'run' | 'probe' }): Accepted {
  return {
    totalNanoUsdP95: Math.ceil(spentNanoUsd + Math.max(prediction.remainingNanoUsd.p95, SMALLEST_PROMISE_NANO_USD)),
    finishAtMsP95: Math.ceil(nowMs + prediction.remainingMs.p95),
  };
}
/** The job's own values of the parameters that are searched. */
function parametersOf(job: Job): ParameterValues {
  const at = (path: string) => path.split('.').reduce<unknown>((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], job);
  return Object.fromEntries(
    Object.keys(job.tune?.parameters ?? {}).flatMap((path) => (at(path) === undefined ? [] : [[path, at(path) as ParameterValue]])),
  );
}
/** Without the keys whose value is undefined. */
function defined<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as { [K in keyof T]: Exclude<T[K], undefined> };
}
const roundOf = ({ run, track, recipe, round, first, last, allocation, reason, python }: RoundPlan): Round => ({
  run,
  track,
  recipe,
  round,
  first,
  last,
  allocation,
  reason,
  ...(python && { python }),
});

function continuesUnchanged(context: TrackContext, fresh: Recipe): boolean {
  const { continues: _lineage, stateFrom: _state, laneStateFrom: _lanes, ...body } = context.recipeBody;
  return canonicalJson(body) === canonicalJson(fresh);
}
function withLineage(fresh: Recipe, before: Recipe | null): Recipe {
  const { continues, stateFrom, laneStateFrom } = before ?? {};
  return { ...fresh, ...defined({ continues, stateFrom, laneStateFrom }) };
}
/** A changed recipe goes on from what another one committed. State that means something else to its optimiser begins again. */
function stateOf(fresh: Recipe, { recipe, step }: RoundManifest, before: Recipe): Pick<Recipe, 'continues' | 'stateFrom' | 'laneStateFrom'> {
  const kept = sameState(before, fresh);
  const stateFrom = kept ? before.stateFrom : step;
  const laneStateFrom = sameLaneStates(before, fresh) ? before.laneStateFrom : step;
  return { continues: { recipe, step }, ...defined({ stateFrom, ...(keepsLaneStates(fresh.compression) && { laneStateFrom }) }) };
}
const sameLaneStates = (a: Recipe, b: Recipe) => a.lanes === b.lanes && a.compression?.kind === b.compression?.kind;
function sameState(a: Recipe, b: Recipe): boolean {
  const family = ({ kind }: Recipe['optimizer']) => (kind === 'adamw' ? 'adam' : kind);
  return (
    family(a.optimizer) === family(b.optimizer) &&
    slotCount(a.optimizer) === slotCount(b.optimizer) &&
    (a.weightAverage === undefined) === (b.weightAverage === undefined)
  );
}

/** What a step's exchange costs in time depends on the kind of store. */
const exchangeKind = (uri: string): ExchangeKind => (/^(redis|hybrid)/.test(uri) ? 'redis' : uri.startsWith('s3:') ? 's3' : 'files');
