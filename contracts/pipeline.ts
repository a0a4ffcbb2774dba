import { z } from 'zod';
import { PrepareAnswer, WeightsReference } from './functions';
import { BudgetUsd, Goal, Minimize } from './goal';
import { Metrics } from './metrics';
import { Bill, Grant, Ledger, Stage } from './money';
import { Allocation } from './round';
import { ValidationPoint } from './validation';
import { Forbidden } from './scheduling';
import { StartedJob } from './started-job';

export const TASK_QUEUE = 'smlt';
export const FINAL_TRACK = 'train';
export const trialTrack = (trial: number) => `trial-${String(trial).padStart(3, '0')}`;

/** How a stage or a run ended. Everything but `failed` is an outcome that people planned for. */
const outcomes = [
  'completed',
  'budgetExhausted',
  'deadlineReached',
  'infeasibleGoal',
  'stopped',
  'pruned',
  'gateMissed',
  'diverged',
  'failed',
] as const;
export const Outcome = z.enum(outcomes);
export type Outcome = z.output<typeof Outcome>;

/** One decision of the scheduler, as the run's journal keeps it. */
export const JournalEntry = z.object({
  atMs: z.number(),
  track: z.string(),
  round: z.int(),
  first: z.int(),
  last: z.int(),
  allocation: Allocation,
  reason: z.string(),
});
export type JournalEntry = z.output<typeof JournalEntry>;

/** What every stage may be given by its parent; started alone, a stage works these out by itself. */
const FromParent = {
  job: StartedJob,
  /** The run that names everything; a stage started alone is its own run. */
  run: z.string().optional(),
  program: PrepareAnswer.optional(),
  grant: Grant.default({}),
  /** Whether the namespace knows smlt's search attributes; a worker that finds out says so through `openRun`. */
  searchAttributes: z.boolean().optional(),
};

export const PipelineInput = z.strictObject({ job: StartedJob, resume: z.boolean().default(false) });
export type PipelineInput = z.output<typeof PipelineInput>;

/** Small enough to be carried over continue-as-new: the scheduler's observations are compacted. */
export const Carried = z.object({
  bill: Bill,
  adopted: z.int().default(0),
  observations: z.array(z.unknown()),
  journal: z.array(JournalEntry),
  forbidden: Forbidden,
  accepted: z.object({ totalNanoUsdP95: z.number(), finishAtMsP95: z.number() }).optional(),
  switches: z.int().default(0),
  /** Where the work is forecast to end. */
  plannedStep: z.int().optional(),
  startedAtMs: z.number(),
});
export type Carried = z.output<typeof Carried>;

export const ProfileInput = z.strictObject({
  ...FromParent,
  /** The whole run's limits, of which the grant is a share: an impossible goal is said here. */
  wholeGoal: Grant.optional(),
});
export type ProfileInput = z.output<typeof ProfileInput>;
export const TuneInput = z.strictObject({ ...FromParent, observations: z.array(z.unknown()).default([]) });
export type TuneInput = z.output<typeof TuneInput>;
export const TrainInput = z.strictObject({
  ...FromParent,
  track: z.string().default(FINAL_TRACK),
  /** A committed round to start from, when the track has none of its own. */
  startFrom: WeightsReference.optional(),
  /** Stops here; left out: the job's own end. */
  untilStep: z.int().min(1).optional(),
  observations: z.array(z.unknown()).default([]),
  carried: Carried.optional(),
});
export type TrainInput = z.output<typeof TrainInput>;
export const EvaluateInput = z.strictObject({
  ...FromParent,
  weights: WeightsReference,
  split: z.enum(['train', 'validation', 'test']).default('test'),
});
export type EvaluateInput = z.output<typeof EvaluateInput>;
export const DeployInput = z.strictObject({ ...FromParent, weights: WeightsReference, metrics: z.record(z.string(), z.number()).default({}) });
export type DeployInput = z.output<typeof DeployInput>;

export const CleanupInput = z.strictObject({ run: z.string(), afterMs: z.number().min(0) });

/** What training one track came to. */
export const TrackResult = z.object({
  outcome: Outcome,
  reason: z.string(),
  weights: WeightsReference.optional(),
  step: z.int(),
  totalSteps: z.int(),
  loss: z.number().nullable(),
  /** Values of another host that were taken over: where there are any, bits are not promised. */
  adopted: z.int(),
  bill: Bill,
  observations: z.array(z.unknown()),
  journal: z.array(JournalEntry),
  /** The newest, by rising step. */
  validations: z.array(ValidationPoint).default([]),
});
export type TrackResult = z.output<typeof TrackResult>;

export const Trial = z.object({
  index: z.int(),
  parameters: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])),
  value: z.number().nullable(),
  step: z.int(),
  /** `stopped`: by the run's end or its limits, not for what it came to. */
  state: z.enum(['running', 'complete', 'pruned', 'stopped', 'failed']),
  weights: WeightsReference.optional(),
});
export type Trial = z.output<typeof Trial>;
export const TuneResult = z.object({
  outcome: Outcome,
  reason: z.string(),
  trials: z.array(Trial),
  best: z.int().nullable(),
  bill: Bill,
  observations: z.array(z.unknown()),
  journal: z.array(JournalEntry),
});
export type TuneResult = z.output<typeof TuneResult>;

export const EvaluateResult = z.object({
  outcome: Outcome,
  reason: z.string(),
  metrics: Metrics,
  samples: z.int(),
  missed: z.array(z.string()),
  bill: Bill,
});
export type EvaluateResult = z.output<typeof EvaluateResult>;
export const DeployResult = z.object({
  outcome: Outcome,
  reason: z.string(),
  version: z.string().optional(),
  modelUri: z.string().optional(),
  functionName: z.string().optional(),
  weightsSha256: z.string().optional(),
  bill: Bill,
});
export type DeployResult = z.output<typeof DeployResult>;

/** The run's record in the object store and the answer to the status query: whoever asks, when history is gone too. */
export const RunRecord = z.object({
  formatVersion: z.literal(1),
  runId: z.string(),
  name: z.string(),
  status: z.union([z.literal('running'), Outcome]),
  reason: z.string(),
  startedAtMs: z.number(),
  updatedAtMs: z.number(),
  stages: z.partialRecord(Stage, z.union([z.literal('running'), Outcome])),
  stage: Stage.nullable(),
  step: z.int(),
  totalSteps: z.int(),
  loss: z.number().nullable(),
  allocation: Allocation.nullable(),
  ledger: Ledger,
  budgetNanoUsd: z.int().nullable(),
  deadlineAtMs: z.number().nullable(),
  /** Set anew while it runs; null: the job's own. */
  minimize: Minimize.nullable().default(null),
  journal: z.array(JournalEntry),
  trials: z.array(Trial),
  /** How the weights did on data.validation while they trained, by rising step. */
  validations: z.array(ValidationPoint).default([]),
  /** What tune judges trials by, and its best one so far. */
  tune: z.object({ metric: z.string(), best: z.int().nullable() }).nullable(),
  /** Values of another host that were taken over (`reproducibility: values`): where there are any, bits are not promised. */
  adopted: z.int(),
  metrics: Metrics.nullable(),
  weightsSha256: z.string().nullable(),
  modelUri: z.string().nullable(),
  version: z.string().nullable(),
  functionName: z.string().nullable(),
  notices: z.array(z.string()),
});
export type RunRecord = z.output<typeof RunRecord>;

/** What changed in a record since it was last written; of journal, trials and validations only the entries that are new or other. */
export type RecordChange = Partial<RunRecord>;

/** A record after a change. Entries are known by track and round, trials by index, validations by step, so a repeated change changes nothing. */
export function changeRecord(record: RunRecord, { journal = [], trials = [], validations = [], ...change }: RecordChange): RunRecord {
  const isNew = ({ track, round }: JournalEntry) => !journal.some((entry) => entry.track === track && entry.round === round);
  const isSame = ({ index }: Trial) => !trials.some((trial) => trial.index === index);
  return {
    ...record,
    ...change,
    journal: [...record.journal.filter(isNew), ...journal].slice(-KEPT_JOURNAL),
    trials: [...record.trials.filter(isSame), ...trials].sort((a, b) => a.index - b.index),
    validations: [...record.validations.filter(({ step }) => !validations.some((point) => point.step === step)), ...validations].slice(-KEPT_JOURNAL),
  };
}
/** Decisions that the stored record keeps; every round's own reason lies in its plan as well. */
const KEPT_JOURNAL = 500;

/** What `setGoal` takes: the fields that change; a null lifts a limit. */
export const GoalChange = z.strictObject({
  minimize: Minimize.optional(),
  budgetUsd: BudgetUsd.nullable().optional(),
  deadline: Goal.shape.deadline.nullable(),
});
export type GoalChange = z.output<typeof GoalChange>;
