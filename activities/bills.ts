import { nanoUsd } from '../contracts/units';
import type { Bill } from '../contracts/money';
import type { PriceList, Usage } from '../platforms/platform';

/** AWS's list price of one invocation: billed time times memory (1 GB is 1,024 MiB), and the request. Source: AWS Lambda pricing. */
export function billOf(usage: Usage, prices: PriceList): Bill {
  const computeNanoUsd = nanoUsd((usage.billedMs / 1_000) * (usage.memoryMib / 1_024) * prices.usdPerGbSecond);
  const requestsNanoUsd = nanoUsd(prices.usdPerRequest);
  return {
    invocations: 1,
    billedMs: usage.billedMs,
    computeNanoUsd,
    requestsNanoUsd,
    storeNanoUsd: 0,
    estimatedNanoUsd: usage.estimated ? computeNanoUsd + requestsNanoUsd : 0,
  };
}

/** The same with what its requests to S3 cost. Those of an invocation that never answered are known to nobody. */
export function withRequests(bill: Bill, { puts, gets }: { readonly puts: number; readonly gets: number }, prices: PriceList): Bill {
  return { ...bill, storeNanoUsd: bill.storeNanoUsd + nanoUsd(puts * prices.usdPerPut + gets * prices.usdPerGet) };
}

/** An invocation whose answer was lost: charged as if it had run until now, at most to its time limit. */
export function lostBill(ranMs: number, memoryMib: number, prices: PriceList): Bill {
  return billOf({ billedMs: Math.ceil(ranMs), memoryMib, maxMemoryMib: 0, initMs: 0, cold: false, estimated: true }, prices);
}
