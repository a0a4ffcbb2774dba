import { z } from 'zod';
import { SmltError } from '../contracts/errors';
import type { WeightsReference } from '../contracts/functions';
import { names, type RecipeId, type Span, type TrackId } from '../contracts/names';
import { Program } from '../contracts/program';
import { RoundManifest, RoundPlan, TrackContext, type Checkpoint, type Round } from '../contracts/round';
import type { Exchange } from '../storage/exchange';
import type { ObjectStore } from '../storage/object-store';
import type { EngineDependencies } from './dependencies';
import { encodeRecord, decodeRecord, findRecord, readRecord } from './records';

/** What a workflow learns of a committed round. */
export interface Committed {
  readonly round: number;
  readonly step: number;
  readonly loss: number | null;
}

/** Losses of one stretch of steps. */
export const CurveChunk = z.object({ first: z.int(), losses: z.array(z.number().nullable()) });
/** The loss window in the extra range's state: absolute steps since floor(step / 256) x 256 (docs/lanes.md). */
export const LOSS_WINDOW_STEPS = 256;

export function createRoundActivities({ store, exchange }: EngineDependencies) {
  return {
    /** Publishes a round, which counts from this write on. Safe to repeat and to race: the first writer wins. */
    async commitRound(round: Round): Promise<Committed> {
      const plan = await readRecord(store, RoundPlan, names.plan(round, round.round));
      const stored = await findRecord(store, RoundManifest, names.manifest(round, round.round));
      const manifest = stored ?? (await decideManifest(store, await manifestAt(store, plan, plan.last)));
      await keepCurve(store, plan, manifest);
      await sweep(exchange, store, plan, manifest);
      return committed(manifest);
    },

    /** Ends a round at its newest complete step, because its allocation must change or the run must stop. */
    async cutShort(round: Round): Promise<Committed> {
      const plan = await readRecord(store, RoundPlan, names.plan(round, round.round));
      const stored = await findRecord(store, RoundManifest, names.manifest(round, round.round));
      const manifest = stored ?? (await decideManifest(store, await rescueNewest(store, exchange, plan)));
      await keepCurve(store, plan, manifest);
      await sweep(exchange, store, plan, manifest);
      return committed(manifest);
    },

    /** Deletes a track's exchange objects; run once at the end, and again after the last instance must have ended. */
    async cleanTrack(track: TrackId): Promise<number> {
      const left = await exchange.list(names.track(track));
      await exchange.delete(left);
      return left.length;
    },
  };
}

/** Every durable object of a step under the plan's cut: params and state of each range, and the extra range's state. */
export function checkpointNames(plan: RoundPlan, step: number, extra: Span): string[] {
  return wholeOf(plan, step, extra, names.checkpointParams, names.checkpointState);
}
/** whole(step): every exchange object of a step under the plan's cut. */
export function wholeNames(plan: RoundPlan, step: number, extra: Span): string[] {
  return wholeOf(plan, step, extra, names.params, names.state);
}
type NameOf = (id: RecipeId, step: number, range: Span) => string;
function wholeOf(plan: RoundPlan, step: number, extra: Span, params: NameOf, state: NameOf): string[] {
  const ranges = spansOf(plan.cut.rangeBorders);
  return [...ranges.map((range) => params(plan, step, range)), ...ranges.map((range) => state(plan, step, range)), state(plan, step, extra)];
}
/** Ranges that someone owns: an empty range has no objects. */
export function spansOf(borders: readonly number[]): Span[] {
  return borders.slice(1).flatMap((end, i) => (end > borders[i]! ? [{ start: borders[i]!, end }] : []));
}
export async function extraRange(store: ObjectStore, programDigest: string): Promise<Span & { buffers: number }> {
  const program = await readRecord(store, Program, names.program(programDigest, 'program.json'));
  return { start: program.paramCount, end: program.paramCount + program.bufferCount + 1, buffers: program.bufferCount };
}

/** Where the next round starts: the manifest's own objects, or, when its round never completed a step, what it started from. */
export function checkpointOf(manifest: RoundManifest): Checkpoint {
  const { run, track, recipe, step, rangeBorders } = manifest;
  return manifest.objects.length > 0 ? { kind: 'stored', run, track, recipe, step, rangeBorders } : manifest.start;
}

export async function readManifest(store: ObjectStore, weights: WeightsReference): Promise<RoundManifest> {
  return readRecord(store, RoundManifest, names.manifest(weights, weights.round));
}

const committed = ({ round, step, loss }: RoundManifest): Committed => ({ round, step, loss });

async function decideManifest(store: ObjectStore, manifest: RoundManifest): Promise<RoundManifest> {
  const name = names.manifest(manifest, manifest.round);
  return decodeRecord(RoundManifest, await store.decide(name, encodeRecord(manifest)), name);
}

async function manifestAt(store: ObjectStore, plan: RoundPlan, step: number): Promise<RoundManifest> {
  const extra = await extraRange(store, plan.recipeBody.programDigest);
  const heads = await Promise.all(checkpointNames(plan, step, extra).map(async (name) => ({ name, info: await store.head(name) })));
  const missing = heads.filter(({ info }) => info === undefined);
  if (missing.length > 0) throw new SmltError('ObjectMissing', `round ${plan.round} of ${plan.run}/${plan.track}: ${missing.length} of ${heads.length} checkpoint objects of step ${step} are missing, such as ${missing[0]!.name}`);
  const { run, track, recipe, round, cut, start } = plan;
  const losses = await lossWindow(store, plan, step, extra);
  return {
    formatVersion: 1,
    run,
    track,
    recipe,
    round,
    step,
    rangeBorders: cut.rangeBorders,
    start,
    loss: losses[(step - 1) % LOSS_WINDOW_STEPS] ?? null,
    objects: heads.map(({ name, info }) => ({ name, sha256: info!.sha256 })),
  };
}

/** Copies the newest step that is whole in the exchange; with none, the round ends where it began. */
async function rescueNewest(store: ObjectStore, exchange: Exchange, plan: RoundPlan): Promise<RoundManifest> {
  const extra = await extraRange(store, plan.recipeBody.programDigest);
  const seen = new Set((await exchange.list(names.steps(plan))).map((name) => Number(name.slice(names.steps(plan).length).split('/')[0])));
  const candidates = [...seen].filter((step) => step > plan.first && step <= plan.last).sort((a, b) => b - a);
  for (const step of candidates) {
    const values = await Promise.all(wholeNames(plan, step, extra).map((name) => exchange.get(name)));
    if (values.some((value) => value === undefined)) continue;
    const kept = checkpointNames(plan, step, extra);
    await Promise.all(kept.map((name, i) => store.putValue(name, values[i]!)));
    return manifestAt(store, plan, step);
  }
  const { run, track, recipe, round, first, start } = plan;
  const rangeBorders = start.kind === 'stored' ? start.rangeBorders : plan.cut.rangeBorders;
  return { formatVersion: 1, run, track, recipe, round, step: first, rangeBorders, start, loss: null, objects: [] };
}

/** Mean losses of the steps of the window that `step` closes; NaN where no step has been. */
async function lossWindow(store: ObjectStore, plan: RoundPlan, step: number, extra: Span & { buffers: number }): Promise<Float32Array> {
  const bytes = await store.get(names.checkpointState(plan, step, extra));
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)).subarray(extra.buffers);
}

async function keepCurve(store: ObjectStore, plan: RoundPlan, manifest: RoundManifest): Promise<void> {
  if (manifest.objects.length === 0) return;
  const extra = await extraRange(store, plan.recipeBody.programDigest);
  const window = await lossWindow(store, plan, manifest.step, extra);
  const windowStart = Math.floor((manifest.step - 1) / LOSS_WINDOW_STEPS) * LOSS_WINDOW_STEPS;
  const first = Math.max(plan.first, windowStart);
  const losses = Array.from(window.subarray(first - windowStart, manifest.step - windowStart), (loss) => (Number.isFinite(loss) ? loss : null));
  await store.putValue(names.curve(plan, plan.round), encodeRecord({ first, losses }));
}

/** Deletes what no later step needs. Never touches the manifest's step or later, so it may run late or twice. */
async function sweep(exchange: Exchange, store: ObjectStore, plan: RoundPlan, manifest: RoundManifest): Promise<void> {
  const live = await exchange.list(names.steps(plan));
  await exchange.delete(live.filter((name) => Number(name.slice(names.steps(plan).length).split('/')[0]) < manifest.step));
  const start = checkpointOf(manifest);
  const kept = start.kind === 'stored' ? start.step : manifest.step;
  const old = (await store.list(names.track(plan))).filter((name) => {
    const step = /\/checkpoints\/(\d+)\//.exec(name)?.[1];
    return step !== undefined && Number(step) < kept;
  });
  await store.delete(old);
}

export async function readContext(store: ObjectStore, id: RecipeId): Promise<TrackContext> {
  return readRecord(store, TrackContext, names.context(id));
}
