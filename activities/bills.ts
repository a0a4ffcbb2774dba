import { nanoUsd } from '../contracts/units';
import type { Bill } from '../contracts/money';
import type { PriceList, Usage } from '../platforms/platform';

/** AWS's list price of one invocation: billed time times memory (1 GB is 1,024 MiB), and the request. Source: AWS Lambda pricing. */
export function billOf(usage: Usage, prices: PriceList, storeNanoUsd = 0): Bill {
  const computeNanoUsd = nanoUsd((usage.billedMs / 1_000) * (usage.memoryMib / 1_024) * prices.usdPerGbSecond);
  const requestsNanoUsd = nanoUsd(prices.usdPerRequest);
  return {
    invocations: 1,
    billedMs: usage.billedMs,
    computeNanoUsd,
    requestsNanoUsd,
    storeNanoUsd,
    estimatedNanoUsd: usage.estimated ? computeNanoUsd + requestsNanoUsd : 0,
  };
}

/** An invocation whose answer was lost: charged as if it had run until now, at most to its time limit. */
export function lostBill(ranMs: number, memoryMib: number, prices: PriceList): Bill {
  return billOf({ billedMs: Math.ceil(ranMs), memoryMib, maxMemoryMib: 0, initMs: 0, cold: false, estimated: true }, prices);
}
