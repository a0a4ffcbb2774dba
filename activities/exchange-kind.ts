import type { ExchangeKind } from '../contracts/scheduling';

/** What a step's exchange costs in time depends on the kind of store. */
export const exchangeKind = (uri: string): ExchangeKind => (/^(redis|hybrid)/.test(uri) ? 'redis' : uri.startsWith('s3:') ? 's3' : 'files');
