import { z } from 'zod';
import { Compression } from './compression';
import { ExchangeKind, ExchangeOption } from './exchange';
import { Minimize } from './goal';
import { SpendLimitMs, Stage } from './money';
import { Allocation } from './round';
import { LocalSteps, Topology } from './synchronization';

export { ExchangeKind };

const Ms = z.number().min(0);
const NanoUsd = z.number().min(0);

/** A goal with its defaults filled in and its deadline turned into a moment. */
export const ResolvedGoal = z.object({
  minimize: Minimize,
  budgetNanoUsd: NanoUsd.optional(),
  deadlineAtMs: z.number().optional(),
  /** Whose share of a run's goal this is; left out: the goal that people know. */
  stage: Stage.optional(),
});
export type ResolvedGoal = z.output<typeof ResolvedGoal>;

/** Where one step's time went, ms a step, at the slowest worker of the round. They add up to that worker's step. */
export const StepParts = z.object({
  computeMs: Ms,
  uploadMs: Ms,
  waitMs: Ms,
  downloadMs: Ms,
  reduceMs: Ms,
  otherMs: Ms,
});
export type StepParts = z.output<typeof StepParts>;

/** What one round taught the scheduler. `merged` counts the rounds that a compacted observation stands for. */
export const Observation = z.object({
  allocation: Allocation,
  round: z.int().min(0),
  /** Samples a step; left out: the job's only size. */
  batchSize: z.int().min(1).optional(),
  /** What its gradients were compressed with, null for nothing; left out: what the request says. */
  compression: Compression.nullable().optional(),
  /** Steps the round completed; a round cut short completes fewer than its allocation asked for. */
  steps: z.int().min(0),
  /** Wall time of the round as the workflow sees it, orchestration included. */
  wallMs: Ms,
  /** Median over the round's steps, of the slowest worker. */
  stepMs: Ms,
  /** Of any worker; left out where a worker was invoked again or had a second copy, which it would tell of. */
  longestStepMs: Ms.optional(),
  /** Left out by code that cannot split its time: then the total alone is modelled. */
  parts: StepParts.optional(),
  /** Longest initialisation among the round's workers; 0 when all were warm. */
  initMs: Ms,
  /** The round's wall time less its functions' own. */
  orchestrationMs: Ms,
  billedNanoUsd: NanoUsd,
  peakRssMib: Ms,
  cold: z.boolean(),
  failures: z.object({ outOfMemory: z.int().min(0), timedOut: z.int().min(0) }).default({ outOfMemory: 0, timedOut: 0 }),
  merged: z.int().min(1).default(1),
  /** By what factors its parts have changed since, where a drift was seen: it tells of today once multiplied. */
  movedSince: z.object({ compute: z.number().positive(), sync: z.number().positive() }).optional(),
});
export type Observation = z.output<typeof Observation>;
export type ObservationInput = z.input<typeof Observation>;

/** US dollars of list price; `platforms/` has the table and its date. */
export const Prices = z.object({
  usdPerGbSecond: z.number().min(0),
  usdPerRequest: z.number().min(0),
  usdPerPut: z.number().min(0),
  usdPerGet: z.number().min(0),
});
export type Prices = z.output<typeof Prices>;

/** What the platform, the account and the job allow. `memoryMib` fixes the size; left out, the scheduler chooses it. */
export const AllocationBounds = z.object({
  maxWorkers: z.int().min(1),
  /** Fewer are not chosen, even where there are fewer cores: the user said so. */
  minWorkers: z.int().min(1).default(1),
  memoryMib: z.int().min(1).optional(),
  minMemoryMib: z.int().min(1),
  maxMemoryMib: z.int().min(1),
  concurrency: z.int().min(1),
  /** Cores that really exist; Infinity in a cloud. */
  totalCores: z.union([z.number().positive(), z.literal(Infinity)]),
});
export type AllocationBounds = z.output<typeof AllocationBounds>;

/** What a program's runs have seen, kept in the object store for the next one. */
export const Learnt = z.object({ formatVersion: z.literal(1), run: z.string(), observations: z.array(Observation) });
export type Learnt = z.output<typeof Learnt>;

/**
 * What a run of another program has seen, with all that its times depend on: what carries over is the exchange's speed by
 * byte and request, a function's by operation, and a cold start, never a step's time itself.
 */
export const Relative = z.object({
  programDigest: z.string(),
  program: z.object({ paramCount: z.int().min(1), bufferCount: z.int().min(0), forwardFlopsPerSample: Ms, gradientMsPerSample: Ms.optional() }),
  /** Samples a step of observations that name none. */
  batchSize: z.int().min(1),
  lanes: z.int().min(1),
  topology: Topology,
  groups: z.int().min(1).optional(),
  compression: Compression.optional(),
  observations: z.array(Observation),
});
export type Relative = z.output<typeof Relative>;
/** The newest programs that were run in one place. */
export const LearntHere = z.object({ formatVersion: z.literal(1), programs: z.array(Relative) });
export type LearntHere = z.output<typeof LearntHere>;

/** One micro-batch's gradient on one function alone: compute without stragglers. */
export const MicroSample = z.object({ memoryMib: z.int().min(1), samples: z.int().min(1), computeMs: z.number().positive(), peakRssMib: Ms });
export type MicroSample = z.output<typeof MicroSample>;

const ForbiddenShape = z.object({ workers: z.int().min(1), memoryMib: z.int().min(1), exchange: ExchangeKind.optional() });
export type ForbiddenShape = z.output<typeof ForbiddenShape>;

/** Learnt from failures: sizes that ran out of memory, worker counts that never got their slots, shapes too slow for one step. */
export const Forbidden = z.object({
  memoryMibBelow: z.int().optional(),
  workersAbove: z.int().optional(),
  /** Functions of these shapes met the time limit before their first step was done: no shape with as few workers and as little memory is tried. */
  tooSlow: z.array(ForbiddenShape).optional(),
  /** Shapes whose first step used up the money of its round: not tried again while there are others. */
  tooDear: z.array(ForbiddenShape).optional(),
});
export type Forbidden = z.output<typeof Forbidden>;

/** Everything a decision depends on: it is a pure function of this. */
export const DecisionInput = z.object({
  goal: ResolvedGoal,
  /**
   * While profiling, `goal` is profiling's own share of budget and time, which its rounds keep; this is the goal of all the
   * work, which plans are held against. Left out: plans of the profile phase are held against nothing.
   */
  wholeGoal: ResolvedGoal.optional(),
  nowMs: z.number(),
  spentNanoUsd: NanoUsd,
  /** Kept for later stages: never spent by this one. */
  reservedNanoUsd: NanoUsd,
  remainingSteps: z.int().min(0),
  /** The work ends at a target, not at a number of steps: the rest is a forecast, and no forecast refuses. */
  openEnded: z.boolean().default(false),
  stepsDone: z.int().min(0),
  current: Allocation.optional(),
  observations: z.array(Observation),
  /** What earlier runs of the same program have seen here: a weak prior for the first choices, never counted as seen by this run. */
  earlier: z.array(Observation).default([]),
  /** What runs of other programs have seen here, where none of this one did: weaker still. */
  related: z.array(Relative).default([]),
  program: z.object({
    paramCount: z.int().min(1),
    bufferCount: z.int().min(0),
    peakMemoryMib: Ms,
    forwardFlopsPerSample: z.number().min(0),
    /** Where the program was measured instead of counted. */
    gradientMsPerSample: Ms.optional(),
    coldStartMs: Ms.optional(),
    /** Share of a gradient's time that more than one vCPU speeds up; smlt's own sessions run one thread. */
    parallelShare: z.number().min(0).max(1).optional(),
    /** Gradients of single functions without any exchange, measured before the first round. */
    microProbe: z.array(MicroSample).optional(),
    /** What came of it, or why there was none, for people. */
    microProbeNote: z.string().optional(),
  }),
  /** Samples of the next step. */
  batchSize: z.int().min(1),
  /** Of the remaining steps those that are announced to have another batch size, in order. */
  laterSteps: z.array(z.object({ batchSize: z.int().min(1), steps: z.int().min(1) })).default([]),
  lanes: z.int().min(1),
  bounds: AllocationBounds,
  prices: Prices,
  exchange: ExchangeKind.default('files'),
  /** A choice of exchanges; what names none in its allocation was over the first. Left out: `exchange` alone. */
  exchanges: z.array(ExchangeOption).min(1).optional(),
  topology: Topology.default('scatter-reduce'),
  /** Fixed by the job; left out, they follow from the number of workers. */
  groups: z.int().min(1).optional(),
  compression: Compression.optional(),
  localSteps: LocalSteps.optional(),
  /** Longer rounds are cut, whatever is decided: the loss window, and what the job fixes. Left out: none is. */
  mostRoundSteps: z.int().min(1).optional(),
  phase: z.enum(['profile', 'run']),
  probesLeft: z.int().min(0),
  forbidden: Forbidden,
  /** Changes of allocation so far, without probes. */
  switches: z.int().min(0).default(0),
  /** The plan that the user has seen or the run has started with: no rescue passes twice its p95 without consent. */
  accepted: z.object({ totalNanoUsdP95: NanoUsd, finishAtMsP95: z.number() }).optional(),
  seed: z.int().min(0),
});
export type DecisionInput = z.output<typeof DecisionInput>;
export type DecisionRequest = z.input<typeof DecisionInput>;

const Quantiles = z.object({ p05: z.number(), p50: z.number(), p95: z.number() });
export type Quantiles = z.output<typeof Quantiles>;

/** What the scheduler expects of the rest of the work at one allocation. */
export const Prediction = z.object({
  stepMs: z.number(),
  remainingMs: Quantiles,
  remainingNanoUsd: Quantiles,
  roundNanoUsdP95: z.number(),
  /** Probability that every limit of the goal holds. */
  feasibility: z.number().min(0).max(1),
});
export type Prediction = z.output<typeof Prediction>;

/** Goals near the stated one that would be met with a probability of at least 0.8. */
export const NearestGoals = z.object({ deadlineAtMs: z.number().optional(), budgetNanoUsd: z.number().optional() });
export type NearestGoals = z.output<typeof NearestGoals>;

/** What to do next, and why, in one sentence that a person understands. */
export const Decision = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('run'),
    allocation: Allocation,
    prediction: Prediction,
    spendLimitMs: SpendLimitMs.optional(),
    /** A worker that others have waited for so long gets a second copy; left out: only one that seems to hang. */
    hedgeAfterMs: z.number().positive().optional(),
    reason: z.string(),
  }),
  z.object({ kind: z.literal('probe'), allocation: Allocation, prediction: Prediction, spendLimitMs: SpendLimitMs.optional(), reason: z.string() }),
  /** Nothing left to do in this phase: all steps are done, or another probe would teach too little. */
  z.object({ kind: z.literal('finish'), allocation: Allocation.optional(), prediction: Prediction.optional(), reason: z.string() }),
  z.object({ kind: z.literal('budgetExhausted'), reason: z.string(), nearest: NearestGoals }),
  z.object({ kind: z.literal('deadlineReached'), reason: z.string(), nearest: NearestGoals }),
  z.object({ kind: z.literal('infeasibleGoal'), reason: z.string(), nearest: NearestGoals }),
]);
export type Decision = z.output<typeof Decision>;
