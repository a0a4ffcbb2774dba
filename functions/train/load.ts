import { names, type Span } from '../../contracts/names';
import { bytesOf } from '../bytes';
import { readParams, readExtra, readSlots } from '../weights';
import type { Layout } from './layout';
import type { Turn } from './turn';

/** The names under which a workspace holds a step's vectors. */
export const heldNames = {
  params: (layout: Layout, step: number) => layout.params(step, { start: 0, end: layout.program.paramCount }),
  slots: (layout: Layout, step: number) => layout.updated.map((range) => layout.state(step, range)).join(' '),
  extra: (layout: Layout, step: number) => layout.state(step, layout.extra),
};

/** A range's part of the optimiser state that a workspace holds. */
export function slotsOf(layout: Layout, values: Float32Array, range: Span): Float32Array {
  const { start, end } = layout.slotSpan(range);
  return values.subarray(start, end);
}

/** Loads params and own states of a step, from memory where it holds them. False when any of it is gone. */
export async function loadStep(turn: Turn, step: number): Promise<boolean> {
  const { meter, plan } = turn;
  if (step === plan.first) {
    await meter.during('download', () => loadStart(turn));
    return true;
  }
  return meter.during('download', () => loadFromExchange(turn, step));
}

/** Loads the params of a step and nothing else. False when any of it is gone. */
export async function loadParams(turn: Turn, step: number): Promise<boolean> {
  if (step === turn.plan.first) return loadStep(turn, step);
  return turn.meter.during('download', () => paramsFromExchange(turn, step));
}

/** Straight into the vector's slice; false when it is gone. */
const readInto = ({ exchange }: Turn, name: string, into: Float32Array) => exchange.getInto(name, bytesOf(into));

async function paramsFromExchange(turn: Turn, step: number): Promise<boolean> {
  const { layout, workspace } = turn;
  const { params } = workspace;
  const name = heldNames.params(layout, step);
  if (params.holds(name, layout.program.paramCount)) return true;
  const there = await Promise.all(
    layout.paramRanges.map((range) => readInto(turn, layout.params(step, range), params.values.subarray(range.start, range.end))),
  );
  if (!there.every(Boolean)) return false;
  params.nowHolds(name);
  return true;
}

async function loadFromExchange(turn: Turn, step: number): Promise<boolean> {
  if (!(await paramsFromExchange(turn, step))) return false;
  const { layout, workspace } = turn;
  const { slots, extra } = workspace;
  const read = (name: string, into: Float32Array) => readInto(turn, name, into);
  if (layout.updatedSpan) {
    const name = heldNames.slots(layout, step);
    if (!slots.holds(name, layout.slotSpan(layout.updatedSpan).end)) {
      const there = await Promise.all(layout.updated.map((range) => read(layout.state(step, range), slotsOf(layout, slots.values, range))));
      if (!there.every(Boolean)) return false;
      slots.nowHolds(name);
    }
  }
  if (layout.needsExtra) {
    const name = heldNames.extra(layout, step);
    if (!extra.holds(name, layout.extraLength)) {
      if (!(await read(name, extra.values))) return false;
      extra.nowHolds(name);
    }
  }
  return true;
}

/** The round's first step lies in the object store, under the cut of the round before; own states are cut again. */
async function loadStart({ layout, store, workspace, plan: { start, first, recipeBody } }: Turn): Promise<void> {
  const { program } = layout;
  const { params, slots, extra } = workspace;
  // A value's name includes the recipe it was made by; the start may come from another one.
  const from = start.kind === 'stored' ? start : undefined;
  const paramsName = from ? names.params(from, from.step, { start: 0, end: program.paramCount }) : program.initialParams;
  if (!params.holds(paramsName, program.paramCount)) {
    await readParams(store, program, start, params.values);
    params.nowHolds(paramsName);
  }
  if (layout.updatedSpan) {
    const begins = from === undefined || first === recipeBody.stateFrom;
    const { updated, updatedSpan: span } = layout;
    const name = begins
      ? `${program.initialParams} ${span.start}-${span.end} zeros`
      : updated.map((range) => names.state(from, from.step, range)).join(' ');
    if (!slots.holds(name, layout.slotSpan(span).end)) {
      if (begins) slots.values.fill(0);
      else for (const range of updated) await readSlots(store, start, range, layout.slots, slotsOf(layout, slots.values, range));
      slots.nowHolds(name);
    }
  }
  if (layout.needsExtra) {
    const name = from ? names.state(from, from.step, layout.extra) : program.initialBuffers;
    if (!extra.holds(name, layout.extraLength)) {
      await readExtra(store, program, start, extra.values);
      extra.nowHolds(name);
    }
  }
}
