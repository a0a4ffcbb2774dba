import { z } from 'zod';
import { Allocation } from './allocation';
import { Compression } from './compression';
import { PrepareAnswer, PythonRuntime } from './functions';
import { BatchSchedule } from './batch-size';
import { Job } from './job';
import { Bill, SpendLimitMs } from './money';
import { Optimizer, WeightAverage } from './optimizer';
import { Schedule } from './schedule';
import { LocalSteps, Topology } from './synchronization';

export { Allocation };

const Step = z.int().min(0);
const Digest = z.string().min(8);
const Borders = z.array(z.int().min(0)).min(2);

/** Who does what: worker w drives lanes [laneBorders[w], laneBorders[w+1]) and owns elements [rangeBorders[w], rangeBorders[w+1]). */
export const Cut = z.object({ laneBorders: Borders, rangeBorders: Borders });
export type Cut = z.output<typeof Cut>;

/** All that a training value depends on besides its step; its digest is the recipe in every name. */
export const Recipe = z.object({
  programDigest: Digest,
  codeDigest: Digest,
  dataSha256: Digest,
  lanes: z.int().min(1),
  batchSize: z.int().min(1),
  batchSchedule: BatchSchedule.optional(),
  seed: z.int().min(0),
  totalSteps: z.int().min(1),
  optimizer: Optimizer,
  schedule: Schedule,
  weightAverage: WeightAverage.optional(),
  clipNorm: z.number().optional(),
  compression: Compression.optional(),
  microBatches: z.int().min(1).optional(),
  localSteps: LocalSteps.optional(),
  continues: z.object({ recipe: Digest, step: Step }).optional(),
  /** The step that optimiser state began at, as zeros, where that is not 0: the optimiser counts its steps from there. */
  stateFrom: Step.optional(),
  /** The same for what lanes hold back. */
  laneStateFrom: Step.optional(),
});
export type Recipe = z.output<typeof Recipe>;

/** Where a round starts: objects in the object store. `initial`: the program's initial parameters, empty optimiser state. */
export const Checkpoint = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('initial') }),
  z.object({
    kind: z.literal('stored'),
    run: z.string(),
    track: z.string(),
    recipe: Digest,
    step: Step,
    rangeBorders: Borders,
    /** The last slot of every range's state is the moving average of the weights. */
    averaged: z.boolean().optional(),
  }),
]);
export type Checkpoint = z.output<typeof Checkpoint>;

export const TimeConstants = z.object({
  waitMs: z.number(),
  giveUpMs: z.number(),
  lookMs: z.number(),
  marginMs: z.number(),
  /** A worker that others have waited for so long is told of, for a second copy; left out: not before they give up. */
  hedgeAfterMs: z.number().positive().optional(),
});

/** A round's plan, in the object store: everything its functions need but their worker number. */
export const RoundPlan = z.object({
  formatVersion: z.literal(1),
  run: z.string(),
  track: z.string(),
  recipe: Digest,
  recipeBody: Recipe,
  round: z.int().min(0),
  first: Step,
  last: Step,
  allocation: Allocation,
  cut: Cut,
  topology: Topology.default('scatter-reduce'),
  /** Scatter-reduce in so many groups, which add gradients up before owners do; left out: none do. */
  groups: z.int().min(1).optional(),
  start: Checkpoint,
  dataUri: z.string(),
  exchangeUri: z.string(),
  storeUri: z.string(),
  times: TimeConstants,
  reproducibility: z.enum(['bits', 'values']),
  reason: z.string(),
  /** A step whose checkpoint is kept beside the newest: the best one so far. */
  keepStep: Step.optional(),
  /** Rent of the exchange while the round runs; left out: none. */
  exchangeUsdPerHour: z.number().positive().optional(),
  /** How long each worker may run before the round ends for the money's sake; left out: no money is limited. */
  spendLimitMs: SpendLimitMs.optional(),
  /** What its functions run on, where the program is Python code. */
  python: PythonRuntime.optional(),
});
export type RoundPlan = z.output<typeof RoundPlan>;

/** A track's fixed facts, in the object store, so that activities need only names. */
export const TrackContext = z.object({ formatVersion: z.literal(1), job: Job, program: PrepareAnswer, recipeBody: Recipe, totalSteps: z.int() });
export type TrackContext = z.output<typeof TrackContext>;

/** What the workflow keeps of a round: under 2 KB whatever the number of workers. */
export const Round = z.object({
  run: z.string(),
  track: z.string(),
  recipe: Digest,
  round: z.int(),
  first: Step,
  last: Step,
  allocation: Allocation,
  reason: z.string(),
  python: PythonRuntime.optional(),
  /** Rent of the exchange while the round runs; left out: none. */
  exchangeUsdPerHour: z.number().positive().optional(),
  spendLimitMs: SpendLimitMs.optional(),
});
export type Round = z.output<typeof Round>;

/** Where a round ended, written once by the commit. A later round starts from here. */
export const RoundManifest = z.object({
  formatVersion: z.literal(1),
  run: z.string(),
  track: z.string(),
  recipe: Digest,
  round: z.int(),
  step: Step,
  rangeBorders: Borders,
  averaged: z.boolean().optional(),
  start: Checkpoint,
  /** Mean training loss of the newest step; null before the first. */
  loss: z.number().nullable(),
  objects: z.array(z.object({ name: z.string(), sha256: z.string() })),
});
export type RoundManifest = z.output<typeof RoundManifest>;

/** One worker's turn, as a workflow asks for it. */
export const WorkerTurn = z.object({
  run: z.string(),
  track: z.string(),
  round: z.int(),
  worker: z.int(),
  memoryMib: z.int(),
  python: PythonRuntime.optional(),
  /** What is left to this worker of its round's `spendLimitMs`. */
  spendLimitMs: SpendLimitMs.optional(),
  /** It has told of a straggler already, and waits for it until it gives up. */
  hasTold: z.literal(true).optional(),
});
export type WorkerTurn = z.output<typeof WorkerTurn>;

/** The same as the function's payload: everything else lies in the round's plan, in this store. */
export const Assignment = WorkerTurn.extend({ storeUri: z.string() });
export type Assignment = z.output<typeof Assignment>;

/** Sums over the steps a worker did; the parts add up to the wall time within measurement. */
export const Telemetry = z.object({
  steps: z.int(),
  wallMs: z.number(),
  initMs: z.number(),
  computeMs: z.number(),
  uploadMs: z.number(),
  waitMs: z.number(),
  downloadMs: z.number(),
  reduceMs: z.number(),
  otherMs: z.number(),
  medianStepMs: z.number(),
  longestStepMs: z.number(),
  peakRssMib: z.number(),
  bytesWritten: z.number(),
  bytesRead: z.number(),
  requests: z.number(),
  storeRequests: z.number(),
  /** Values of another host that were taken over, where the job's reproducibility allows it. */
  adopted: z.int(),
  cpuClass: z.string(),
  cold: z.boolean(),
});
export type Telemetry = z.output<typeof Telemetry>;

/** What the train function answers. */
export const TrainAnswer = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('done'), step: Step, loss: z.number().nullable(), telemetry: Telemetry }),
  z.object({ kind: z.literal('superseded'), telemetry: Telemetry }),
  z.object({ kind: z.literal('reached'), step: Step, telemetry: Telemetry }),
  /** It has run for as long as the round's money lasts: the round ends at its newest complete step. */
  z.object({ kind: z.literal('spent'), step: Step, telemetry: Telemetry }),
  /** `slow`: the workers that make the first missing names. */
  z.object({
    kind: z.literal('waiting'),
    step: Step,
    missing: z.array(z.string()).max(3),
    missingCount: z.int(),
    slow: z.array(z.int()),
    telemetry: Telemetry,
  }),
]);
export type TrainAnswer = z.output<typeof TrainAnswer>;

/** A failure that the function, or smlt, understood. */
export const Failure = z.object({ code: z.string(), message: z.string() });
export type Failure = z.output<typeof Failure>;

/** How one invocation ended, always with its bill: a function's failure is an outcome, not an exception. */
export const TrainOutcome = z.discriminatedUnion('kind', [
  ...(TrainAnswer.options.map((answer) => answer.extend({ bill: Bill })) as unknown as [
    z.ZodObject<(typeof TrainAnswer.options)[0]['shape'] & { bill: typeof Bill }>,
    z.ZodObject<(typeof TrainAnswer.options)[1]['shape'] & { bill: typeof Bill }>,
    z.ZodObject<(typeof TrainAnswer.options)[2]['shape'] & { bill: typeof Bill }>,
    z.ZodObject<(typeof TrainAnswer.options)[3]['shape'] & { bill: typeof Bill }>,
    z.ZodObject<(typeof TrainAnswer.options)[4]['shape'] & { bill: typeof Bill }>,
  ]),
  z.object({ kind: z.literal('crashed'), message: z.string(), bill: Bill }),
  z.object({ kind: z.literal('outOfMemory'), memoryMib: z.int(), bill: Bill }),
  z.object({ kind: z.literal('timedOut'), bill: Bill }),
  z.object({ kind: z.literal('failed'), error: Failure, bill: Bill }),
]);
export type TrainOutcome = z.output<typeof TrainOutcome>;
