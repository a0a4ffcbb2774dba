import type { AllocationShape } from '../contracts/allocation';
import type { ExchangeOption } from '../contracts/exchange';
import type { DecisionInput, Observation } from '../contracts/scheduling';

type Over = Pick<AllocationShape, 'exchange' | 'shards'>;

/** What an allocation may go over; nothing to name where there is no choice. */
export const exchangesOf = ({ exchanges = [] }: Pick<DecisionInput, 'exchanges'>): Over[] => (exchanges.length < 2 ? [{}] : exchanges.map(nameOf));

const nameOf = ({ kind, shards }: ExchangeOption): Over => ({ exchange: kind, ...(shards > 1 && { shards }) });

/**
 * Where there is a choice of exchanges, every allocation names one: what names none was over the first. Where there is none,
 * what was seen over the only one, while there was a choice, is seen over it still.
 */
export function nameExchanges(input: DecisionInput): DecisionInput {
  if (input.exchanges === undefined) return input;
  const first = nameOf(input.exchanges[0]!);
  const hasChoice = input.exchanges.length > 1;
  const named = <T extends AllocationShape>(allocation: T): T => {
    if (hasChoice) return allocation.exchange === undefined ? { ...allocation, ...first } : allocation;
    if (allocation.exchange !== first.exchange || allocation.shards !== first.shards) return allocation;
    const { exchange: _only, shards: _its, ...rest } = allocation;
    return rest as T;
  };
  const seen = (observation: Observation): Observation => ({ ...observation, allocation: named(observation.allocation) });
  return {
    ...input,
    observations: input.observations.map(seen),
    earlier: input.earlier.map(seen),
    related: input.related.map((relative) => ({ ...relative, observations: relative.observations.map(seen) })),
    ...(input.current && { current: named(input.current) }),
  };
}
