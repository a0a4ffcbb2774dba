import { createHash } from 'node:crypto';
import { z } from 'zod';
import { SmltError } from '../contracts/errors';
import type { WeightsReference } from '../contracts/functions';
import { names, type RecipeId, type Span } from '../contracts/names';
import { checkpointNames, extraRange, filledRanges, lossWindowStart, shapeOf, wholeNames, type Shape } from '../contracts/step-names';
import { Program } from '../contracts/program';
import { RoundManifest, RoundPlan, TrackContext, type Checkpoint, type Round } from '../contracts/round';
import type { Exchange } from '../storage/exchange';
import type { ObjectStore } from '../storage/object-store';
import { sha256Hex } from '../storage/digest';
import type { EngineDependencies } from './dependencies';
import { exchangeAt } from './exchanges';
import { encodeRecord, decodeRecord, findRecord, readRecord } from './records';

/** What a workflow learns of a committed round. */
export interface Committed {
  readonly round: number;
  readonly step: number;
  readonly loss: number | null;
}

const BYTES = Float32Array.BYTES_PER_ELEMENT;

/** Losses of one stretch of steps. */
export const CurveChunk = z.object({ first: z.int(), losses: z.array(z.number().nullable()) });

export function createRoundActivities({ store, exchanges }: EngineDependencies) {
  return {
    /** Publishes a round, which counts from this write on. Safe to repeat and to race: the first writer wins. */
    async commitRound(round: Round): Promise<Committed> {
      const plan = await readRecord(store, RoundPlan, names.plan(round, round.round));
      const stored = await findRecord(store, RoundManifest, names.manifest(round, round.round));
      const manifest = stored ?? (await decideManifest(store, await manifestAt(store, plan, plan.last)));
      await keepCurve(store, plan, manifest);
      await sweep(exchanges, store, plan, manifest);
      return committed(manifest);
    },

    /** Ends a round at its newest complete step, because its allocation must change or the run must stop. */
    async cutShort(round: Round): Promise<Committed> {
      const plan = await readRecord(store, RoundPlan, names.plan(round, round.round));
      const stored = await findRecord(store, RoundManifest, names.manifest(round, round.round));
      const manifest = stored ?? (await decideManifest(store, await rescueNewest(store, exchangeAt({ exchanges }, plan.exchangeUri), plan)));
      await keepCurve(store, plan, manifest);
      await sweep(exchanges, store, plan, manifest);
      return committed(manifest);
    },

    /**
     * SHA-256 of the flat float32 parameters in layout order (their moving average, where the job asks for one), then the
     * running statistics: what two trainings are compared by.
     */
    async digestWeights(weights: WeightsReference): Promise<string> {
      const manifest = await readManifest(store, weights);
      const checkpoint = checkpointOf(manifest);
      const { recipeBody } = await readContext(store, { ...weights, recipe: manifest.recipe });
      const program = await readRecord(store, Program, names.program(recipeBody.programDigest, 'program.json'));
      if (checkpoint.kind === 'initial') return sha256Hex(await store.get(program.initialParams), await store.get(program.initialBuffers));
      // Range by range: a large model need not lie in this process's memory.
      const hash = createHash('sha256');
      for (const range of filledRanges(checkpoint.rangeBorders))
        hash.update(
          checkpoint.averaged
            ? (await store.get(names.checkpointState(checkpoint, checkpoint.step, range))).subarray(-(range.end - range.start) * BYTES)
            : await store.get(names.checkpointParams(checkpoint, checkpoint.step, range)),
        );
      const state = await store.get(names.checkpointState(checkpoint, checkpoint.step, extraRange(program.paramCount, program.bufferCount)));
      return hash.update(state.subarray(0, program.bufferCount * BYTES)).digest('hex');
    },
  };
}

/** What the names of a round's steps follow from. */
async function readShape(store: ObjectStore, plan: RoundPlan): Promise<Shape & { extra: Span }> {
  const { paramCount, bufferCount } = await readRecord(store, Program, names.program(plan.recipeBody.programDigest, 'program.json'));
  return { ...shapeOf(plan, bufferCount), extra: extraRange(paramCount, bufferCount) };
}

/** Where the next round starts: the manifest's own objects, or, when its round never completed a step, what it started from. */
export function checkpointOf(manifest: RoundManifest): Checkpoint {
  const { run, track, recipe, step, rangeBorders, averaged } = manifest;
  return manifest.objects.length > 0 ? { kind: 'stored', run, track, recipe, step, rangeBorders, averaged } : manifest.start;
}

export async function readManifest(store: ObjectStore, weights: WeightsReference): Promise<RoundManifest> {
  return readRecord(store, RoundManifest, names.manifest(weights, weights.round));
}

const finiteOrNull = (loss: number | undefined) => (loss !== undefined && Number.isFinite(loss) ? loss : null);
const committed = ({ round, step, loss }: RoundManifest): Committed => ({ round, step, loss });

async function decideManifest(store: ObjectStore, manifest: RoundManifest): Promise<RoundManifest> {
  const name = names.manifest(manifest, manifest.round);
  return decodeRecord(RoundManifest, await store.decide(name, encodeRecord(manifest)), name);
}

async function manifestAt(store: ObjectStore, plan: RoundPlan, step: number): Promise<RoundManifest> {
  const shape = await readShape(store, plan);
  const heads = await Promise.all(checkpointNames(plan, step, shape).map(async (name) => ({ name, info: await store.head(name) })));
  const missing = heads.filter(({ info }) => info === undefined);
  if (missing.length > 0)
    throw new SmltError(
      'ObjectMissing',
      `round ${plan.round} of ${plan.run}/${plan.track}: ${missing.length} of ${heads.length} checkpoint objects of step ${step} are missing, such as ${missing[0]!.name}`,
    );
  const { run, track, recipe, recipeBody, round, cut, start } = plan;
  const losses = await lossWindow(store, plan, step, shape);
  return {
    formatVersion: 1,
    run,
    track,
    recipe,
    round,
    step,
    rangeBorders: cut.rangeBorders,
    ...(recipeBody.weightAverage ? { averaged: true } : {}),
    start,
    loss: finiteOrNull(losses[step - 1 - lossWindowStart(step)]),
    objects: heads.map(({ name, info }) => ({ name, sha256: info!.sha256 })),
  };
}

/** Copies the newest step that is whole in the exchange; with none, the round ends where it began. */
async function rescueNewest(store: ObjectStore, exchange: Exchange, plan: RoundPlan): Promise<RoundManifest> {
  const shape = await readShape(store, plan);
  const finished = await Promise.all(checkpointNames(plan, plan.last, shape).map((name) => store.head(name)));
  if (finished.every((info) => info !== undefined)) return manifestAt(store, plan, plan.last);
  const seen = new Set((await exchange.list(names.steps(plan))).map((name) => Number(name.slice(names.steps(plan).length).split('/')[0])));
  // What lanes hold back in the middle of a round is in no store: the round is begun again.
  if (shape.statefulLanes !== undefined) seen.clear();
  const candidates = [...seen].filter((step) => step > plan.first && step <= plan.last).sort((a, b) => b - a);
  for (const step of candidates) {
    if (await copyStep(store, exchange, wholeNames(plan, step, shape, plan.first), checkpointNames(plan, step, shape)))
      return manifestAt(store, plan, step);
  }
  const { run, track, recipe, round, first, start } = plan;
  const rangeBorders = start.kind === 'stored' ? start.rangeBorders : plan.cut.rangeBorders;
  return { formatVersion: 1, run, track, recipe, round, step: first, rangeBorders, start, loss: null, objects: [] };
}

/**
 * Makes a step durable, one value after the other: a large model need not lie in this process's memory. False when a value
 * is not there; those that were copied before it are right all the same.
 */
async function copyStep(store: ObjectStore, exchange: Exchange, from: readonly string[], to: readonly string[]): Promise<boolean> {
  if (!(await exchange.present(from)).every(Boolean)) return false;
  for (const [i, name] of from.entries()) {
    const value = await exchange.get(name);
    if (value === undefined) return false;
    await store.putValue(to[i]!, value);
  }
  return true;
}

/** Mean losses of the steps of the window that `step` closes; NaN where no step has been. */
async function lossWindow(
  store: ObjectStore,
  plan: RoundPlan,
  step: number,
  { extra, bufferCount }: { extra: Span; bufferCount: number },
): Promise<Float32Array> {
  const bytes = await store.get(names.checkpointState(plan, step, extra));
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)).subarray(bufferCount);
}

async function keepCurve(store: ObjectStore, plan: RoundPlan, manifest: RoundManifest): Promise<void> {
  if (manifest.objects.length === 0) return;
  const window = await lossWindow(store, plan, manifest.step, await readShape(store, plan));
  const windowStart = lossWindowStart(manifest.step);
  const first = Math.max(plan.first, windowStart);
  const losses = Array.from(window.subarray(first - windowStart, manifest.step - windowStart), finiteOrNull);
  await store.putValue(names.curve(plan, plan.round), encodeRecord({ first, losses }));
}

/** Deletes what no later step needs. Never touches the manifest's step or later, so it may run late or twice. */
async function sweep(exchanges: readonly Exchange[], store: ObjectStore, plan: RoundPlan, manifest: RoundManifest): Promise<void> {
  // All of them: the round before may have gone over another one.
  await Promise.all(
    exchanges.map(async (exchange) => {
      const live = await exchange.list(names.steps(plan));
      await exchange.delete(live.filter((name) => Number(name.slice(names.steps(plan).length).split('/')[0]) < manifest.step));
    }),
  );
  const start = checkpointOf(manifest);
  const kept = start.kind === 'stored' ? start.step : manifest.step;
  const old = (await store.list(names.track(plan))).filter((name) => {
    const step = /\/checkpoints\/(\d+)\//.exec(name)?.[1];
    return step !== undefined && Number(step) < kept && Number(step) !== plan.keepStep;
  });
  await store.delete(old);
}

export async function readContext(store: ObjectStore, id: RecipeId): Promise<TrackContext> {
  return readRecord(store, TrackContext, names.context(id));
}
