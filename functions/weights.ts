import type { WeightsReference } from '../contracts/functions';
import { names, type Span } from '../contracts/names';
import type { Program } from '../contracts/program';
import { RoundManifest, type Checkpoint } from '../contracts/round';
import { SmltError } from '../contracts/errors';
import { extraRange, filledRanges, LOSSES_KEPT } from '../contracts/step-names';
import type { ObjectStore } from '../storage/object-store';
import { resetCounters } from '../training/plateau';
import { bytesOf, floatsOf, jsonOf } from './bytes';

/** A checkpoint's parameters, put together from the ranges it was written in. */
export async function readParams(store: ObjectStore, program: Program, from: Checkpoint, into: Float32Array): Promise<void> {
  if (from.kind === 'initial') {
    await store.getInto(program.initialParams, bytesOf(into));
    return;
  }
  await Promise.all(
    filledRanges(from.rangeBorders).map((range) =>
      store.getInto(names.checkpointParams(from, from.step, range), bytesOf(into.subarray(range.start, range.end))),
    ),
  );
}

/** The moving average of the weights: the last slot of each range's state. */
async function readAverage(store: ObjectStore, from: Checkpoint & { kind: 'stored' }, into: Float32Array): Promise<void> {
  // One after the other: a state may be several times as long as its parameters.
  for (const range of filledRanges(from.rangeBorders)) {
    const state = floatsOf(await store.get(names.checkpointState(from, from.step, range)));
    into.set(state.subarray(state.length - (range.end - range.start)), range.start);
  }
}

/**
 * Optimiser state of any range, cut again out of every range it was written in. Zeros where there is none: at the start,
 * and where the optimiser before kept another number of slots. In memory there is one stored range's state at a time
 * besides, and none where the cut is the same.
 */
export async function readSlots(store: ObjectStore, from: Checkpoint, range: Span, slots: number, into: Float32Array): Promise<void> {
  into.fill(0);
  if (from.kind === 'initial' || slots === 0) return;
  const length = range.end - range.start;
  const overlapping = filledRanges(from.rangeBorders).filter(({ start, end }) => start < range.end && range.start < end);
  for (const stored of overlapping) {
    const name = names.checkpointState(from, from.step, stored);
    const storedLength = stored.end - stored.start;
    if (stored.start === range.start && stored.end === range.end && (await store.head(name))?.bytes === into.byteLength) {
      await store.getInto(name, bytesOf(into));
      return;
    }
    const values = floatsOf(await store.get(name));
    if (values.length !== storedLength * slots) continue;
    const [start, end] = [Math.max(stored.start, range.start), Math.min(stored.end, range.end)];
    for (let slot = 0; slot < slots; slot++) {
      const at = slot * storedLength - stored.start;
      into.set(values.subarray(at + start, at + end), slot * length + start - range.start);
    }
  }
}

/** Running statistics, then the loss window, then counters of the schedule; no losses at the start, or of another schedule. */
export async function readExtra(store: ObjectStore, program: Program, from: Checkpoint, into: Float32Array): Promise<void> {
  if (from.kind === 'initial') {
    into.fill(NaN);
    resetCounters(into.subarray(program.bufferCount + LOSSES_KEPT));
    if (program.bufferCount > 0) into.set(floatsOf(await store.get(program.initialBuffers)));
    return;
  }
  const state = floatsOf(await store.get(names.checkpointState(from, from.step, extraRange(program.paramCount, program.bufferCount))));
  into.set(state.subarray(0, into.length));
  if (state.length < into.length) resetCounters(into.subarray(program.bufferCount + LOSSES_KEPT));
}

/** A committed round's parameters (their moving average, where the job asks for one) and running statistics, as flat vectors. */
export async function readWeights(
  store: ObjectStore,
  program: Program,
  reference: WeightsReference,
): Promise<{ params: Float32Array; buffers: Float32Array }> {
  const from = await checkpointOf(store, reference);
  const params = new Float32Array(program.paramCount);
  if (from.kind === 'stored' && from.averaged) await readAverage(store, from, params);
  else await readParams(store, program, from, params);
  const buffers = new Float32Array(program.bufferCount);
  if (from.kind === 'initial') {
    if (program.bufferCount > 0) buffers.set(floatsOf(await store.get(program.initialBuffers)));
  } else if (program.bufferCount > 0) {
    const state = await store.get(names.checkpointState(from, from.step, extraRange(program.paramCount, program.bufferCount)));
    buffers.set(floatsOf(state).subarray(0, program.bufferCount));
  }
  return { params, buffers };
}

/** The newest weights as of a round's end: its own objects, or, when it completed no step, those it started from. */
async function checkpointOf(store: ObjectStore, reference: WeightsReference): Promise<Checkpoint> {
  const name = names.manifest(reference, reference.round);
  const parsed = RoundManifest.safeParse(jsonOf(await store.get(name)));
  if (!parsed.success) throw new SmltError('VersionSkew', `${name} was written by another version of smlt: ${parsed.error.message}`);
  const { run, track, recipe, step, rangeBorders, averaged, start, objects } = parsed.data;
  return objects.length > 0 ? { kind: 'stored', run, track, recipe, step, rangeBorders, averaged } : start;
}
