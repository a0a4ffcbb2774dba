import { names, type RecipeId, type Span } from './names';

/** Losses kept in the extra range's state, at absolute step numbers: nothing in a state may depend on its round. */
export const LOSS_WINDOW = 256;

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

interface Shape {
  readonly rangeBorders: readonly number[];
  readonly bufferCount: number;
}
const extraOf = ({ rangeBorders, bufferCount }: Shape) => extraRange(rangeBorders[rangeBorders.length - 1]!, bufferCount);

/** whole(s): a step is complete when all of these exist in the exchange. Params alone are not enough. */
export function wholeNames(id: RecipeId, step: number, shape: Shape): string[] {
  const ranges = filledRanges(shape.rangeBorders);
  return [...ranges.map((range) => names.params(id, step, range)), ...[...ranges, extraOf(shape)].map((range) => names.state(id, step, range))];
}

/** The durable objects of a round's last step: what a commit looks for and what a manifest names. */
export function checkpointNames(id: RecipeId, step: number, shape: Shape): string[] {
  const ranges = filledRanges(shape.rangeBorders);
  return [
    ...ranges.map((range) => names.checkpointParams(id, step, range)),
    ...[...ranges, extraOf(shape)].map((range) => names.checkpointState(id, step, range)),
  ];
}

/** First step of the loss window in the state of `step` (whose newest loss is that of `step - 1`). */
export function lossWindowStart(step: number): number {
  return Math.floor(Math.max(0, step - 1) / LOSS_WINDOW) * LOSS_WINDOW;
}
