import type { Optimizer } from '../contracts/optimizer';
import { add, divide } from './kernels';
import { update } from './optimizers';

/** All three as long as the parameters. */
export interface WalkVectors {
  /** Stays as it is. */
  readonly start: Float32Array;
  /** Where the parameters after each step are found. */
  readonly values: Float32Array;
  /** What the steps have come to, and in the end the lane's pseudo-gradient. */
  readonly change: Float32Array;
}
/** A lane's own steps on a copy of the parameters. */
export interface LocalWalk {
  /**
   * @param gradient  a sum over samples; overwritten
   * @param weight  what its mean divides by: the samples, or what they weigh together; where it is 0 there is no step
   */
  step(gradient: Float32Array, weight: number): void;
  /** Makes `change` (start - end) times the weight: over all lanes these add up to a mean by weight. */
  finish(): void;
}

/**
 * Steps of plain SGD. What they come to is kept as a sum of updates and never as a difference of parameters, which would
 * lose its last digits: updates are small beside parameters.
 */
export class LocalParams implements LocalWalk {
  /** What the steps so far weigh together. */
  #weight = 0;

  constructor(
    private readonly vectors: WalkVectors,
    private readonly learningRate: number,
  ) {
    vectors.values.set(vectors.start);
    vectors.change.fill(0);
  }

  /** values -= learningRate * gradient / weight. */
  step(gradient: Float32Array, weight: number): void {
    if (weight === 0) return;
    const { start, values, change } = this.vectors;
    this.#weight += weight;
    divide(gradient, gradient, Math.fround(-weight / this.learningRate));
    add(change, change, gradient);
    add(values, start, change);
  }

  finish(): void {
    const { change } = this.vectors;
    if (this.#weight > 0) divide(change, change, Math.fround(-1 / this.#weight));
  }
}

/**
 * Steps of an optimiser whose moments a lane keeps from one batch to the next. It changes parameters in place, so what its
 * steps come to is a difference of parameters, good to a parameter's last digit.
 */
export class OptimizedParams implements LocalWalk {
  #weight = 0;
  #step: number;

  /** @param own  the lane's: `firstStep` is the walk's first step by the moments' own count, from 0 */
  constructor(
    private readonly vectors: WalkVectors,
    private readonly own: { readonly optimizer: Optimizer; readonly moments: Float32Array; readonly firstStep: number },
  ) {
    vectors.values.set(vectors.start);
    this.#step = own.firstStep;
  }

  step(gradient: Float32Array, weight: number): void {
    const step = this.#step++;
    if (weight === 0) return;
    const { optimizer, moments: slots } = this.own;
    this.#weight += weight;
    divide(gradient, gradient, Math.fround(weight));
    update(optimizer, { params: this.vectors.values, gradient, slots, step, learningRate: optimizer.learningRate });
  }

  finish(): void {
    const { start, values, change } = this.vectors;
    const weight = Math.fround(this.#weight);
    for (let i = 0; i < change.length; i++) change[i] = Math.fround(start[i]! - values[i]!) * weight;
  }
}
