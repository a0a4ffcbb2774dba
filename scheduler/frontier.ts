import type { Allocation } from '../contracts/round';
import { parseWith } from '../contracts/job';
import { DecisionInput, type DecisionRequest, type Prediction } from '../contracts/scheduling';
import { candidatesOf } from './candidates';
import { followDrifts } from './drift';
import { nameExchanges } from './exchanges';
import { planContextOf, planOf } from './plan';

/**
 * What can be had: the allocations that no other beats in both time and cost, fastest first. Starts nothing.
 * @throws {SmltError} `InvalidSpec` when an observation or a bound is not valid
 */
export function predictFrontier(request: DecisionRequest): { allocation: Allocation; prediction: Prediction }[] {
  const told = nameExchanges(parseWith(DecisionInput, request, 'the scheduler’s input'));
  const input = { ...told, observations: followDrifts(told.observations).observations };
  const context = planContextOf(input);
  const plans = candidatesOf(input)
    .map((shape) => planOf(shape, context))
    .sort((a, b) => a.prediction.remainingMs.p50 - b.prediction.remainingMs.p50);
  let cheapest = Infinity;
  return plans.flatMap(({ allocation, prediction }) => {
    if (prediction.remainingNanoUsd.p50 >= cheapest) return [];
    cheapest = prediction.remainingNanoUsd.p50;
    return [{ allocation, prediction }];
  });
}
