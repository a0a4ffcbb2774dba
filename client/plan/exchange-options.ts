import type { ExchangeOption } from '../../contracts/exchange';
import { exchangeKindOf, exchangeUrisOf } from '../../contracts/exchange';
import { SmltError } from '../../contracts/errors';
import type { Job } from '../../contracts/job';
import { redisNode } from '../../platforms/lambda/prices';

/** Redis servers side by side that a plan for a cloud compares; smlt starts none itself. */
const SHARDS = [1, 2, 4, 8];

/**
 * The exchanges that a plan compares: on this machine those that are set up, on AWS all that there could be; of these the ones
 * that the job allows. @throws {SmltError} `InvalidSpec` where it allows none of them
 */
export function exchangeOptions(
  { synchronization: { exchanges: allowed } }: Job,
  where: 'local' | 'aws',
  environment: NodeJS.ProcessEnv,
): ExchangeOption[] {
  const all = where === 'local' ? ofThisMachine(environment) : ofAws(environment);
  const options = all.filter(({ kind }) => allowed === undefined || allowed.includes(kind));
  if (options.length > 0) return options;
  const there = [...new Set(all.map(({ kind }) => kind))].join(', ');
  throw new SmltError(
    'InvalidSpec',
    where === 'aws'
      ? `synchronization.exchanges: got ${allowed!.join(', ')}, and functions on AWS share no files; expected one of ${there}`
      : `synchronization.exchanges: got ${allowed!.join(', ')}, and SMLT_EXCHANGE_URI has ${there}; set it to what the job names, or plan with --on aws`,
  );
}

function ofThisMachine(environment: NodeJS.ProcessEnv): ExchangeOption[] {
  const uris = exchangeUrisOf(environment['SMLT_EXCHANGE_URI'] || 'tmpfs:');
  const usdPerHour = redisUsdPerHour(environment, 0);
  return uris.map(exchangeKindOf).map((kind) => ({ kind, shards: 1, usdPerHour: kind === 'redis' || kind === 'hybrid' ? usdPerHour : 0 }));
}

function ofAws(environment: NodeJS.ProcessEnv): ExchangeOption[] {
  const usdPerHour = redisUsdPerHour(environment, redisNode.usdPerHour);
  return [
    ...SHARDS.map((shards): ExchangeOption => ({ kind: 'redis', shards, usdPerHour: shards * usdPerHour })),
    { kind: 'hybrid', shards: 1, usdPerHour },
    { kind: 's3', shards: 1, usdPerHour: 0 },
  ];
}

/** What one Redis server is rented for. */
function redisUsdPerHour({ SMLT_REDIS_USD_PER_HOUR: setting }: NodeJS.ProcessEnv, usual: number): number {
  if (setting === undefined || setting === '') return usual;
  const usd = Number(setting);
  if (!(usd >= 0 && Number.isFinite(usd)))
    throw new SmltError('InvalidSpec', `SMLT_REDIS_USD_PER_HOUR: got ${setting}, expected US dollars an hour, 0 for none`);
  return usd;
}
