import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { ConnectionOptions } from '@temporalio/client';
import { SmltError } from '../../contracts/errors';

export interface TemporalServer {
  readonly address: string;
  readonly namespace: string;
  /** TLS, API key and metadata of a profile; the address is in here too. */
  readonly connectionOptions: ConnectionOptions;
  readonly source: string;
}

/** The server that the user named by TEMPORAL_ADDRESS or in a Temporal profile (TEMPORAL_PROFILE, temporal.toml), if any. */
export function givenServer(environment: Readonly<Record<string, string | undefined>>): TemporalServer | undefined {
  const set = Object.fromEntries(Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined));
  let config: ReturnType<typeof loadClientConnectConfig>;
  try {
    config = loadClientConnectConfig({ overrideEnvVars: set });
  } catch (error) {
    throw new SmltError('InvalidSpec', `the Temporal profile cannot be read: ${(error as Error).message}\nCorrect temporal.toml or TEMPORAL_PROFILE.`, { cause: error }); // prettier-ignore
  }
  const { address } = config.connectionOptions;
  if (address === undefined || address === '') return undefined;
  return {
    address,
    namespace: config.namespace ?? 'default',
    connectionOptions: config.connectionOptions as ConnectionOptions,
    source: set['TEMPORAL_ADDRESS'] ? 'TEMPORAL_ADDRESS' : 'a Temporal profile',
  };
}

export const localServer = (address: string, namespace: string, source: string): TemporalServer => ({
  address,
  namespace,
  connectionOptions: { address },
  source,
});
