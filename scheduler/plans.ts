import { parseWith } from '../contracts/job';
import { DecisionInput, type DecisionRequest } from '../contracts/scheduling';
import { candidatesOf } from './candidates';
import { followDrifts } from './drift';
import { nameExchanges } from './exchanges';
import { planContextOf, planOf, type Plan, type PlanContext } from './plan';

/** All that could be run, priced: what plans are compared for. @throws {SmltError} `InvalidSpec` when an observation or a bound is not valid */
export function plansOf(request: DecisionRequest): { readonly plans: readonly Plan[]; readonly context: PlanContext } {
  const told = nameExchanges(parseWith(DecisionInput, request, 'the scheduler’s input'));
  const input = { ...told, observations: followDrifts(told.observations).observations };
  const context = planContextOf(input);
  return { plans: candidatesOf(input).map((shape) => planOf(shape, context)), context };
}
