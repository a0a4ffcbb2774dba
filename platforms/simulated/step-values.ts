import { addLoss, extraRange, LOSSES_KEPT, lossWindowStart, LOSS_WINDOW } from '../../contracts/step-names';
import type { RecipeId } from '../../contracts/names';
import { names } from '../../contracts/names';

interface Shape {
  readonly paramCount: number;
  readonly bufferCount: number;
}

/** Stand-ins for a step's values: one name, one value, as in the real step, though the value is only the name itself. */
export function stepValue(
  id: RecipeId,
  step: number,
  name: string,
  { paramCount, bufferCount }: Shape,
  lossAt: (step: number) => number,
): Uint8Array {
  const extra = extraRange(paramCount, bufferCount);
  if (name !== names.state(id, step, extra) && name !== names.checkpointState(id, step, extra))
    return new TextEncoder().encode(name.slice(name.lastIndexOf('/')));
  const state = new Float32Array(bufferCount + LOSSES_KEPT);
  const losses = state.subarray(bufferCount).fill(NaN);
  for (let at = Math.max(0, lossWindowStart(step) - LOSS_WINDOW); at < step; at += 1) addLoss(losses, at, lossAt(at));
  return new Uint8Array(state.buffer);
}
