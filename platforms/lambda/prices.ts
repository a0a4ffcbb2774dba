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

export const MIB_PER_VCPU = 1_769;
export const MAX_VCPUS = 6;

/** Source: AWS Lambda's guide, "Configure memory": one vCPU at 1,769 MB, in proportion, six at the most. */
export const lambdaVcpus = (memoryMib: number): number => Math.min(memoryMib / MIB_PER_VCPU, MAX_VCPUS);
