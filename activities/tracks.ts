import { totalStepsOf } from '../contracts/batch-size';
import { canonicalJson } from '../contracts/canonical-json';
import { withMethod, type ChosenMethod } from '../contracts/chosen-method';
import type { Compression } from '../contracts/compression';
import { keepsLaneStates, sameLaneStates } from '../contracts/lane-state';
import type { PrepareAnswer, WeightsReference } from '../contracts/functions';
import type { Job } from '../contracts/job';
import { names, type TrackId } from '../contracts/names';
import type { Checkpoint, Recipe, RoundManifest, TrackContext } from '../contracts/round';
import { sha256Hex } from '../storage/digest';
import { slotCount } from '../training/optimizers';
import { defined } from './defined';
import type { EngineDependencies } from './dependencies';
import { chosenMethod, standingOf, type MethodQuestion } from './methods';
import { encodeRecord } from './records';
import { checkpointOf, readContext, readManifest } from './rounds';
import { schedulerInput } from './scheduler-input';

const RECIPE_DIGITS = 16;

export interface TrackOpening {
  readonly recipe: string;
  readonly nextRound: number;
  readonly step: number;
  readonly totalSteps: number;
  readonly loss: number | null;
  /** The newest committed round of the track, if there is one. */
  readonly weights: WeightsReference | null;
  /** What its gradients are compressed with; null for nothing. */
  readonly compression: Compression | null;
  /** Why, where the scheduler has chosen. */
  readonly method?: string;
  /** The scheduler is to choose, and has seen too little. */
  readonly undecided?: true;
}
export type TrackQuestion = TrackId & {
  readonly job: Job;
  readonly program: PrepareAnswer;
  readonly startFrom?: WeightsReference | undefined;
  /** Where the job allows lossy methods: what the choice rests on. Left out: none is taken. */
  readonly choice?: MethodQuestion | undefined;
};

/** Where a track stands, and the recipe that what it trains from there depends on. */
export function createTrackActivities(engine: EngineDependencies) {
  const { store, platform } = engine;
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
    async openTrack({ run, track, job: asked, program, startFrom, choice }: TrackQuestion): Promise<TrackOpening> {
      const rounds = (await store.list(names.rounds({ run, track })))
        .flatMap((name) => /\/rounds\/(\d+)\/manifest$/.exec(name)?.[1] ?? [])
        .map(Number);
      const newest = rounds.length > 0 ? { run, track, round: Math.max(...rounds) } : null;
      const own = newest && (await readManifest(store, newest));
      // A track whose rounds came to no step has nothing of its own: what it began with may have gone on, and been swept, since.
      const weights = own && startFrom && isElsewhere(checkpointOf(own), track) ? null : newest;
      const from = weights ?? startFrom ?? null;
      const manifest = from && (await readManifest(store, from));
      const step = manifest?.step ?? 0;
      const method = choice && (await methodOf(asked, program, { run, step, choice }));
      const job = withMethod(asked, method?.method);
      const totalSteps = totalStepsOf(job.training, program.samples);
      const fresh = await recipeOf(job, program, totalSteps);
      const before = manifest && (await contextOf(manifest));
      const recipeBody =
        before === null || (continuesUnchanged(before, fresh) && (weights === null || isSameJob(before.job, job)))
          ? withLineage(fresh, before && before.recipeBody)
          : { ...fresh, ...stateOf(fresh, manifest!, before.recipeBody) };
      const recipe = sha256Hex(encodeRecord(recipeBody)).slice(0, RECIPE_DIGITS);
      const context: TrackContext = { formatVersion: 1, job, program, recipeBody, totalSteps };
      // Decided, not put: who opens the track again finds the job under which its rounds are planned.
      await store.decide(names.context({ run, track, recipe }), encodeRecord(context));
      return {
        recipe,
        nextRound: newest ? newest.round + 1 : 0,
        step,
        totalSteps,
        loss: manifest?.loss ?? null,
        weights,
        compression: job.synchronization.compression ?? null,
        ...(method ? { method: method.reason } : choice && asked.synchronization.allow && { undecided: true }),
      };
    },
  };

  /** What the run has chosen of the methods that the job allows, or chooses now. */
  async function methodOf(
    job: Job,
    program: PrepareAnswer,
    { run, step, choice }: { run: string; step: number; choice: MethodQuestion },
  ): Promise<ChosenMethod | undefined> {
    if (job.synchronization.allow === undefined) return undefined;
    return chosenMethod(engine, run, job, async (one) => {
      const recipeBody = await recipeOf(one, program, totalStepsOf(one.training, program.samples));
      return schedulerInput(engine, standingOf(choice, step, recipeBody), { job: one, program, recipeBody });
    });
  }

  async function contextOf(manifest: RoundManifest): Promise<TrackContext> {
    return readContext(store, manifest);
  }
}

/** A recipe's context holds one job. A resumed job that was changed elsewhere, in its exchange or its bounds, goes on under another. */
const isSameJob = (a: Job, b: Job): boolean => canonicalJson(a) === canonicalJson(b);
const isElsewhere = (start: Checkpoint, track: string): boolean => start.kind === 'stored' && start.track !== track;

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
  const laneStateFrom = before.lanes === fresh.lanes && sameLaneStates(before, fresh) ? before.laneStateFrom : step;
  return { continues: { recipe, step }, ...defined({ stateFrom, ...(keepsLaneStates(fresh) && { laneStateFrom }) }) };
}
function sameState(a: Recipe, b: Recipe): boolean {
  const family = ({ kind }: Recipe['optimizer']) => (kind === 'adamw' ? 'adam' : kind);
  return (
    family(a.optimizer) === family(b.optimizer) &&
    slotCount(a.optimizer) === slotCount(b.optimizer) &&
    (a.weightAverage === undefined) === (b.weightAverage === undefined)
  );
}
