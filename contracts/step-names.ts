import { keepsLaneStates } from './lane-state';
import type { RoundPlan } from './round';
import { names, type RecipeId, type Span } from './names';

/** The ranges of a cut that hold anything: a worker that owns nothing has no names. */
export function filledRanges(rangeBorders: readonly number[]): Span[] {
  return rangeBorders
    .slice(1)
    .map((end, worker) => ({ start: rangeBorders[worker]!, end }))
    .filter(({ start, end }) => end > start);
}

/** Behind the parameters: buffer statistics, then one loss. Owned by worker 0; it has a state (buffers, loss window) and no params. */
export function extraRange(paramCount: number, bufferCount: number): Span {
  return { start: paramCount, end: paramCount + bufferCount + 1 };
}

/** What the names of a round's steps follow from. */
export interface Shape {
  readonly rangeBorders: readonly number[];
  readonly bufferCount: number;
  /** Lanes that hold something back from step to step; left out: none do. */
  readonly statefulLanes: number | undefined;
}
export const shapeOf = ({ cut, recipeBody }: Pick<RoundPlan, 'cut' | 'recipeBody'>, bufferCount: number): Shape => ({
  rangeBorders: cut.rangeBorders,
  bufferCount,
  statefulLanes: keepsLaneStates(recipeBody) ? recipeBody.lanes : undefined,
});
const extraOf = ({ rangeBorders, bufferCount }: Pick<Shape, 'rangeBorders' | 'bufferCount'>) =>
  extraRange(rangeBorders[rangeBorders.length - 1]!, bufferCount);

/**
 * whole(s): a step is complete when all of these exist in the exchange. Params alone are not enough.
 * @param first  the round's first step: while lanes hold something back, all params since then, so that it can be found again
 */
export function wholeNames(id: RecipeId, step: number, shape: Shape, first: number): string[] {
  const ranges = filledRanges(shape.rangeBorders);
  const oldest = shape.statefulLanes === undefined ? step : first + 1;
  const params = Array.from({ length: step - oldest + 1 }, (_, i) => ranges.map((range) => names.params(id, step - i, range)));
  return [...params.flat(), ...[...ranges, extraOf(shape)].map((range) => names.state(id, step, range))];
}

/** The durable objects of a round's last step: what a commit looks for and what a manifest names. */
export function checkpointNames(id: RecipeId, step: number, shape: Shape): string[] {
  const ranges = filledRanges(shape.rangeBorders);
  return [
    ...ranges.map((range) => names.checkpointParams(id, step, range)),
    ...[...ranges, extraOf(shape)].map((range) => names.checkpointState(id, step, range)),
    ...Array.from({ length: shape.statefulLanes ?? 0 }, (_, lane) => names.checkpointLane(id, step, lane)),
  ];
}

/*
 * Losses in the extra range's state, behind the buffers: the window of the newest step, then the window before it, at
 * absolute step numbers and NaN where no step has been. Nothing in a state may depend on its round: after a cut the same
 * step belongs to another one.
 */
export const LOSS_WINDOW = 256;
export const LOSSES_KEPT = 2 * LOSS_WINDOW;

/** First step of the loss window in the state of `step` (whose newest loss is that of `step - 1`). */
export function lossWindowStart(step: number): number {
  return Math.floor(Math.max(0, step - 1) / LOSS_WINDOW) * LOSS_WINDOW;
}

/** From the losses in the state of `step` to those in the state of `step + 1`, in place. */
export function addLoss(losses: Float32Array, step: number, loss: number): void {
  const at = step % LOSS_WINDOW;
  if (at === 0) losses.copyWithin(LOSS_WINDOW, 0, LOSS_WINDOW).fill(NaN, 0, LOSS_WINDOW);
  losses[at] = loss;
}

/** The newest losses that the state of `step` still has, oldest first: from 257 to 512 of them once there are as many. */
export function recentLosses(losses: Float32Array, step: number): { first: number; losses: Float32Array } {
  const start = lossWindowStart(step);
  const newest = losses.subarray(0, step - start);
  if (start === 0) return { first: 0, losses: newest.slice() };
  const both = new Float32Array(LOSS_WINDOW + newest.length);
  both.set(losses.subarray(LOSS_WINDOW, LOSSES_KEPT));
  both.set(newest, LOSS_WINDOW);
  return { first: start - LOSS_WINDOW, losses: both };
}
