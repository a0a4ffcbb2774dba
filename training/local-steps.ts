import { add, divide } from './kernels';

/*
 * A lane's own steps of plain SGD. What they come to is kept as a sum of updates and never as a difference of parameters,
 * which would lose its last digits: updates are small beside parameters.
 */
export class LocalParams {
  /** What the steps so far weigh together. */
  #weight = 0;

  /**
   * All three as long as the parameters.
   * @param start  stays as it is
   * @param values  where the parameters after each step are found
   * @param change  what the steps have come to, and in the end the lane's pseudo-gradient
   */
  constructor(
    private readonly start: Float32Array,
    private readonly values: Float32Array,
    private readonly change: Float32Array,
    private readonly learningRate: number,
  ) {
    values.set(start);
    change.fill(0);
  }

  /**
   * values -= learningRate * gradient / weight.
   * @param gradient  a sum over samples; overwritten
   * @param weight  what its mean divides by: the samples, or what they weigh together; where it is 0 there is no step
   */
  step(gradient: Float32Array, weight: number): void {
    if (weight === 0) return;
    this.#weight += weight;
    divide(gradient, gradient, Math.fround(-weight / this.learningRate));
    add(this.change, this.change, gradient);
    add(this.values, this.start, this.change);
  }

  /** Makes `change` (start - end) times the weight: over all lanes these add up to a mean by weight. */
  finish(): void {
    if (this.#weight > 0) divide(this.change, this.change, Math.fround(-1 / this.#weight));
  }
}
