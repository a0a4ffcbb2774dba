import type { Allocation } from '../contracts/round';
import type { DecisionRequest, Prediction } from '../contracts/scheduling';
import { plansOf } from './plans';

/** One way to do the work, and what it takes. */
export interface FrontierPoint {
  readonly allocation: Allocation;
  readonly prediction: Prediction;
}

/**
 * What can be had: the allocations that no other beats in both time and cost, fastest first. Starts nothing.
 * @throws {SmltError} `InvalidSpec` when an observation or a bound is not valid
 */
export const predictFrontier = (request: DecisionRequest): FrontierPoint[] =>
  undominated(plansOf(request).plans.map(({ allocation, prediction }) => ({ allocation, prediction })));

/** Those that no other one beats in both time and cost, fastest first; of two alike the first. */
export function undominated<P extends FrontierPoint>(points: readonly P[]): P[] {
  let cheapest = Infinity;
  return [...points]
    .sort((a, b) => a.prediction.remainingMs.p50 - b.prediction.remainingMs.p50)
    .filter(({ prediction }) => {
      if (prediction.remainingNanoUsd.p50 >= cheapest) return false;
      cheapest = prediction.remainingNanoUsd.p50;
      return true;
    });
}
