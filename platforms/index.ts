import { availableParallelism, totalmem } from 'node:os';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { GetAccountSettingsCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { SmltError } from '../contracts/errors';
import { refusedOrUnavailable } from './lambda/failures';
import { LambdaPlatform, type FunctionCode } from './lambda/lambda-platform';
import { listPrices, pricesOf } from './lambda/prices';
import { CODE_BUCKET } from './local-lambda/code-store';
import type { FunctionPlatform, PlatformLimits } from './platform';

export type * from './platform';

export interface OpenPlatformOptions {
  /** An embedded server's address; left out for AWS itself. */
  readonly endpoint?: string;
  readonly region?: string;
  /** The role that functions run under: needed on AWS. */
  readonly roleArn?: string;
  readonly zipPath: string;
  readonly codeSha256: string;
  /** Left out: programs in Python can't be run. */
  readonly pythonCode?: FunctionCode;
  /** Environment variables of every function, such as credentials. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Where the zip was packaged for; this machine's by default. */
  readonly architecture?: 'x64' | 'arm64';
  /** What is given here is believed; the rest is asked of the platform. */
  readonly limits?: Partial<PlatformLimits>;
}

const LOCAL_ROLE = 'arn:aws:iam::000000000000:role/smlt-local';
const MIB = 1_048_576;
/** More than any number of workers: a queued call would be one of those that the running ones wait for. */
const MAX_SOCKETS = 4_096;

/** Connects to where functions run: AWS Lambda, or the embedded server behind `endpoint`. @throws {SmltError} `PlatformUnavailable` */
export async function openPlatform(options: OpenPlatformOptions): Promise<FunctionPlatform> {
  const { endpoint, roleArn, zipPath, codeSha256, pythonCode, secrets } = options;
  const local = endpoint !== undefined;
  if (!local && roleArn === undefined) {
    throw new SmltError('InvalidSpec', 'roleArn is missing: on AWS, functions need a role to run under; give its ARN');
  }
  const architecture = options.architecture ?? (process.arch === 'arm64' ? 'arm64' : 'x64');
  const client = openLambdaClient(options);
  return new LambdaPlatform({
    client,
    limits: await limitsOf(client, local, options.limits ?? {}),
    // The embedded server charges nothing; its totals are what x86 functions would cost, on every machine alike.
    prices: local ? listPrices.x64 : pricesOf(regionOf(options), architecture, process.env),
    roleArn: roleArn ?? LOCAL_ROLE,
    zipPath,
    codeSha256,
    ...(pythonCode && { pythonCode }),
    ...(secrets && { secrets }),
    architecture: architecture === 'x64' ? 'x86_64' : 'arm64',
    // One machine is one CPU model, and so is Graviton on Lambda; its x86 hosts are several.
    uniformCpus: local || architecture === 'arm64',
    ...(local ? { codeBucket: CODE_BUCKET } : {}),
  });
}

const regionOf = ({ region }: { region?: string | undefined }) => region ?? process.env['AWS_REGION'] ?? 'us-east-1';

/** A client for calls that last minutes: no time-outs of its own, no retries, connections kept and as many as needed. */
export function openLambdaClient({ endpoint, region }: Pick<OpenPlatformOptions, 'endpoint' | 'region'>): LambdaClient {
  // The SDK's version is pinned, so what it says about Node's is said to us, not to whoever runs smlt.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const agent = { keepAlive: true, keepAliveMsecs: 30_000, maxSockets: MAX_SOCKETS };
  return new LambdaClient({
    region: regionOf({ region }),
    maxAttempts: 1,
    ...(endpoint === undefined ? {} : { endpoint, credentials: { accessKeyId: 'smlt', secretAccessKey: 'local' } }),
    requestHandler: new NodeHttpHandler({
      connectionTimeout: 10_000,
      requestTimeout: 0,
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent(agent),
    }),
  });
}

async function limitsOf(client: LambdaClient, local: boolean, given: Partial<PlatformLimits>): Promise<PlatformLimits> {
  return {
    timeoutMs: 900_000,
    concurrency: given.concurrency ?? (await askConcurrency(client)),
    minMemoryMib: 128,
    // Functions on this machine share its memory.
    maxMemoryMib: local ? Math.max(128, Math.min(10_240, Math.floor((totalmem() / MIB) * 0.8))) : 10_240,
    totalCores: local ? availableParallelism() : Infinity,
    ...given,
  };
}

async function askConcurrency(client: LambdaClient): Promise<number> {
  try {
    const { AccountLimit } = await client.send(new GetAccountSettingsCommand({}));
    return AccountLimit?.UnreservedConcurrentExecutions ?? AccountLimit?.ConcurrentExecutions ?? 1_000;
  } catch (error) {
    throw refusedOrUnavailable('asking the function platform for its limits', error);
  }
}
