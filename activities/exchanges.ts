import type { AllocationShape } from '../contracts/allocation';
import { exchangeKindOf, type ExchangeOption } from '../contracts/exchange';
import type { Job } from '../contracts/job';
import { SmltError } from '../contracts/errors';
import type { Exchange } from '../storage/exchange';
import type { EngineDependencies } from './dependencies';

type Deployed = Pick<EngineDependencies, 'exchanges' | 'redisUsdPerHour'>;

/** The deployment's exchanges that a job allows, as the scheduler weighs them. @throws {SmltError} `InvalidSpec` when there is none */
export function exchangeOptions({ exchanges, redisUsdPerHour }: Deployed, { synchronization }: Pick<Job, 'synchronization'>): ExchangeOption[] {
  const { exchanges: allowed } = synchronization;
  const options = exchanges.map(({ uri, shards = 1 }) => {
    const kind = exchangeKindOf(uri);
    return { kind, shards, usdPerHour: kind === 'redis' || kind === 'hybrid' ? shards * redisUsdPerHour : 0 };
  });
  const chosen = options.filter(({ kind }) => allowed === undefined || allowed.includes(kind));
  if (chosen.length > 0) return chosen;
  const there = options.map(({ kind }) => kind).join(', ');
  throw new SmltError('InvalidSpec', `synchronization.exchanges: got ${allowed!.join(', ')}, and this deployment has ${there} (SMLT_EXCHANGE_URI)`);
}

/** What an allocation goes over, and what that is rented for. */
export function exchangeFor(
  deployed: Deployed,
  job: Pick<Job, 'synchronization'>,
  allocation: AllocationShape,
): { exchange: Exchange; option: ExchangeOption } {
  const options = exchangeOptions(deployed, job);
  const option = options.find(({ kind }) => kind === allocation.exchange) ?? options[0]!;
  return { exchange: deployed.exchanges.find(({ uri }) => exchangeKindOf(uri) === option.kind)!, option };
}

/** Where a round's values are. A deployment that was changed meanwhile has another exchange, which holds none of them. */
export const exchangeAt = ({ exchanges }: Pick<EngineDependencies, 'exchanges'>, uri: string): Exchange =>
  exchanges.find((exchange) => exchange.uri === uri) ?? exchanges[0]!;
