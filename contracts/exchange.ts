import { z } from 'zod';
import { SmltError } from './errors';

/** Where functions exchange partials and parameters: it sets latency, bandwidth and what requests cost. */
export const ExchangeKind = z.enum(['files', 'redis', 'hybrid', 's3'], 'expected one of files, redis, hybrid, s3');
export type ExchangeKind = z.output<typeof ExchangeKind>;

/** One of the exchanges that a round may go over. */
export const ExchangeOption = z.object({
  kind: ExchangeKind,
  /** Redis servers that share its keys. */
  shards: z.int().min(1).default(1),
  /** Rent of all its servers together, for as long as rounds run over it; 0 where they run anyway. */
  usdPerHour: z.number().min(0).default(0),
});
export type ExchangeOption = z.output<typeof ExchangeOption>;

export const exchangeKindOf = (uri: string): ExchangeKind =>
  uri.startsWith('hybrid:') ? 'hybrid' : uri.startsWith('redis') ? 'redis' : uri.startsWith('s3:') ? 's3' : 'files';

/**
 * The exchanges of a deployment, `SMLT_EXCHANGE_URI`: one URI, or several with spaces between, at most one of a kind, since a
 * choice among them is said by kind. @throws {SmltError} `InvalidSpec`
 */
export function exchangeUrisOf(setting: string): string[] {
  const uris = setting.split(/\s+/).filter((uri) => uri !== '');
  const twice = uris.find((uri, i) => uris.findIndex((other) => exchangeKindOf(other) === exchangeKindOf(uri)) < i);
  if (uris.length === 0)
    throw new SmltError('InvalidSpec', 'SMLT_EXCHANGE_URI is empty: expected the URI of an exchange, or several with spaces between');
  if (twice !== undefined)
    throw new SmltError('InvalidSpec', `SMLT_EXCHANGE_URI has two exchanges of kind ${exchangeKindOf(twice)}; expected at most one of each`);
  return uris;
}
