import { homedir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { NativeConnectionOptions } from '@temporalio/worker';
import { z } from 'zod';
import { SmltError } from '../contracts/errors';
import { exchangeUrisOf } from '../contracts/exchange';
import { TASK_QUEUE } from '../contracts/pipeline';

/** What a Temporal worker of smlt is told by its environment. */
const Environment = z.object({
  SMLT_TASK_QUEUE: z.string().default(TASK_QUEUE),
  SMLT_HOME: z.string().default(join(homedir(), '.smlt')),
  /** Durable objects: `file:///path` or `s3://bucket/prefix`. */
  SMLT_STORE_URI: z.string().optional(),
  /** One URI, or several with spaces between. */
  SMLT_EXCHANGE_URI: z.string().default('tmpfs:'),
  SMLT_REDIS_USD_PER_HOUR: z.coerce.number().min(0).default(0),
  /** The embedded Lambda server; left out: AWS Lambda by the SDK's own configuration. */
  SMLT_LAMBDA_ENDPOINT: z.string().optional(),
  SMLT_LAMBDA_ROLE_ARN: z.string().optional(),
  SMLT_REDIS_USERNAME: z.string().optional(),
  SMLT_REDIS_PASSWORD: z.string().optional(),
  AWS_REGION: z.string().optional(),
  SMLT_CACHE_DIR: z.string().optional(),
  /** Tests shorten it, so that continuation past a function's time limit is an ordinary case. */
  SMLT_FUNCTION_TIMEOUT_MS: z.coerce.number().int().min(1_000).max(900_000).default(900_000),
});

export interface WorkerConfig {
  readonly temporalAddress: string;
  readonly namespace: string;
  /** TLS, API key and metadata, as a Temporal profile or Temporal's own variables have them. */
  readonly connectionOptions?: NativeConnectionOptions;
  readonly taskQueue: string;
  readonly storeUri: string;
  readonly exchangeUris: readonly string[];
  /** What one Redis server is rented for. */
  readonly redisUsdPerHour: number;
  readonly lambdaEndpoint: string | undefined;
  readonly lambdaRoleArn: string | undefined;
  /** Credentials of the exchange, which functions on AWS need in their environment; by variable. */
  readonly exchangeSecrets: Readonly<Record<string, string>>;
  readonly region: string;
  readonly cacheDir: string;
  readonly functionTimeoutMs: number;
}

export function readConfig(environment: NodeJS.ProcessEnv): WorkerConfig {
  const parsed = Environment.safeParse(environment);
  if (!parsed.success) throw new SmltError('InvalidSpec', `the worker's environment is not valid:\n${z.prettifyError(parsed.error)}`);
  const env = parsed.data;
  const { connectionOptions, namespace = 'default' } = temporalConfig(environment);
  return {
    temporalAddress: connectionOptions.address ?? '127.0.0.1:7233',
    namespace,
    connectionOptions,
    taskQueue: env.SMLT_TASK_QUEUE,
    storeUri: env.SMLT_STORE_URI ?? pathToFileURL(join(env.SMLT_HOME, 'store')).href,
    exchangeUris: exchangeUrisOf(env.SMLT_EXCHANGE_URI),
    redisUsdPerHour: env.SMLT_REDIS_USD_PER_HOUR,
    lambdaEndpoint: env.SMLT_LAMBDA_ENDPOINT,
    lambdaRoleArn: env.SMLT_LAMBDA_ROLE_ARN,
    exchangeSecrets: {
      ...(env.SMLT_REDIS_USERNAME === undefined ? {} : { SMLT_REDIS_USERNAME: env.SMLT_REDIS_USERNAME }),
      ...(env.SMLT_REDIS_PASSWORD === undefined ? {} : { SMLT_REDIS_PASSWORD: env.SMLT_REDIS_PASSWORD }),
    },
    region: env.AWS_REGION ?? 'us-east-1',
    cacheDir: env.SMLT_CACHE_DIR ?? join(env.SMLT_HOME, 'cache'),
    functionTimeoutMs: env.SMLT_FUNCTION_TIMEOUT_MS,
  };
}

function temporalConfig(environment: NodeJS.ProcessEnv): ReturnType<typeof loadClientConnectConfig> {
  const set = Object.fromEntries(Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined));
  try {
    return loadClientConnectConfig({ overrideEnvVars: set });
  } catch (error) {
    throw new SmltError('InvalidSpec', `the Temporal profile cannot be read: ${(error as Error).message}`, { cause: error });
  }
}
