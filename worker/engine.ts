import { arch, platform as system } from 'node:os';
import { join } from 'node:path';
import type { EngineDependencies } from '../activities';
import { DataSet } from '../functions/data-set';
import { realStores } from '../functions/real-world';
import { openPlatform } from '../platforms';
import { packageFunctions } from '../platforms/packaging';
import { ensurePython } from '../platforms/python/environment';
import { openExchange, openObjectStore } from '../storage';
import type { WorkerConfig } from './config';

/** Longer than any round and any function's time limit together. */
const EXPIRE_MS = 2 * 60 * 60_000;

/** Opens the real world that the activities act on. */
export async function openEngine(config: WorkerConfig, searchAttributes: boolean): Promise<EngineDependencies> {
  // What the embedded server unpacks at once on this machine need not be small; an upload to AWS should.
  const compress = config.lambdaEndpoint === undefined;
  const target = { cacheDir: config.cacheDir, platform: system(), arch: arch(), compress };
  const { zipPath, sha256 } = await packageFunctions({ bundleDir: join(__dirname, '..', 'functions-bundle'), ...target });
  const pythonCode = await packageFunctions({ bundleDir: join(__dirname, '..', 'python'), kind: 'python', ...target });
  const platform = await openPlatform({
    region: config.region,
    zipPath,
    codeSha256: sha256,
    pythonCode,
    limits: { timeoutMs: config.functionTimeoutMs },
    // The embedded server hands its own environment on; on AWS each function's configuration, encrypted at rest, carries them.
    ...(config.lambdaEndpoint === undefined ? { secrets: config.exchangeSecrets } : { endpoint: config.lambdaEndpoint }),
    ...(config.lambdaRoleArn === undefined ? {} : { roleArn: config.lambdaRoleArn }),
  });
  const exchanges = await Promise.all(config.exchangeUris.map(openExchange));
  // What runs left that were terminated: nobody else would delete it.
  await Promise.all(exchanges.map((exchange) => exchange.expire(EXPIRE_MS)));
  return {
    store: await openObjectStore(config.storeUri),
    exchanges,
    redisUsdPerHour: config.redisUsdPerHour,
    platform,
    searchAttributes,
    readDataSet: async (uri) => (await DataSet.open(realStores, uri)).manifest,
    readSamples: (uri, count) => readSamples(uri, count),
    findPython: (model, tell) => ensurePython(model, { cacheDir: config.cacheDir, environment: process.env, tell }),
    nowMs: Date.now,
  };
}

async function readSamples(uri: string, count: number): Promise<number[][]> {
  const dataSet = await DataSet.open(realStores, uri);
  const { featureShape, target } = dataSet.manifest;
  const width = featureShape.reduce((product, size) => product * size, 1);
  const samples = await dataSet.load([{ start: 0, end: count }]);
  const features = new Float32Array(count * width);
  const targets = target.kind === 'class' ? new Int32Array(count) : new Float32Array(count * target.width);
  samples.gather(
    Array.from({ length: count }, (_, i) => i),
    features,
    targets,
  );
  return Array.from({ length: count }, (_, i) => [...features.subarray(i * width, (i + 1) * width)]);
}
