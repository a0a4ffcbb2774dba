import type { Value } from '../shapes';

/** What a loss adds to a graph: its sum over the micro-batch `[]`, and the gradient of that sum in the outputs. */
export interface WrittenLoss {
  readonly loss: Value;
  readonly gradient: Value;
  /** `[]`: what the sum is to be divided by, where that is not the number of samples. */
  readonly weight?: Value;
}
