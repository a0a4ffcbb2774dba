import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { SmltError } from '../../contracts/errors';
import { parseWith } from '../../contracts/job';
import type { PriceList } from '../platform';

/**
 * AWS list prices, without any free tier. 1 GB-second there is 1,024 MiB for a second; initialisation is billed since August 2025.
 * Source: AWS Lambda and Amazon S3 pricing pages.
 */
export const listPrices = {
  x64: {
    region: 'us-east-1',
    readOn: '2026-11-24',
    usdPerGbSecond: 0.0000166667,
    usdPerRequest: 0.0000002,
    usdPerPut: 0.000005,
    usdPerGet: 0.0000004,
  },
  arm64: {
    region: 'us-east-1',
    readOn: '2026-11-24',
    usdPerGbSecond: 0.0000133334,
    usdPerRequest: 0.0000002,
    usdPerPut: 0.000005,
    usdPerGet: 0.0000004,
  },
} as const satisfies Record<string, PriceList>;

/** A node for an exchange, which smlt does not start: what a plan counts for one. Source: Amazon ElastiCache pricing, us-east-1. */
export const redisNode = { type: 'cache.r6g.large', usdPerHour: 0.206 } as const;

/** What people write for a region that is not in the table above. */
const GivenPrices = z.strictObject({
  region: z.string(),
  readOn: z.string(),
  usdPerGbSecond: z.number().min(0),
  usdPerRequest: z.number().min(0),
  usdPerPut: z.number().min(0),
  usdPerGet: z.number().min(0),
});

/**
 * Prices of a region: smlt's own, or those of the JSON file that SMLT_PRICES names. A bill that is wrong is worse than none, so
 * no region stands in for another. @throws {SmltError} `InvalidSpec` where there are none, or the file is not what is expected
 */
export function pricesOf(region: string, architecture: 'x64' | 'arm64', environment: NodeJS.ProcessEnv): PriceList {
  const { SMLT_PRICES: path } = environment;
  if (path !== undefined && path !== '') {
    const given = readPrices(path);
    if (given.region === region) return given;
    throw new SmltError(
      'InvalidSpec',
      `SMLT_PRICES: ${path} has prices of ${given.region}, and functions run in ${region}; expected those of ${region}`,
    );
  }
  const known = listPrices[architecture];
  if (known.region === region) return known;
  throw new SmltError(
    'InvalidSpec',
    `prices of AWS region ${region} are not known, so no budget could be kept; set SMLT_PRICES to a JSON file { "region": "${region}", "readOn", "usdPerGbSecond", "usdPerRequest", "usdPerPut", "usdPerGet" }, or use ${known.region}`,
  );
}

function readPrices(path: string): PriceList {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new SmltError('InvalidSpec', `SMLT_PRICES: ${path} can't be read as JSON: ${(error as Error).message}`, { cause: error });
  }
  return parseWith(GivenPrices, content, `SMLT_PRICES, ${path},`);
}

/** Memory that makes one vCPU on Lambda. */
export const MIB_PER_VCPU = 1_769;
const MAX_VCPUS = 6;

/** Source: AWS Lambda's guide, "Configure memory": one vCPU at 1,769 MB, in proportion, six at the most. */
export const lambdaVcpus = (memoryMib: number): number => Math.min(memoryMib / MIB_PER_VCPU, MAX_VCPUS);
