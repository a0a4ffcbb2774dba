import { mostAfter, requestsTold, type StoreRequests } from '../contracts/charged-requests';
import type { Bill } from '../contracts/money';
import { nanoUsd } from '../contracts/units';
import type { Invocation, PriceList, Usage } from '../platforms/platform';
import type { EngineDependencies } from './dependencies';
import type { Unheard } from './lost-requests';

/** AWS's list price of one invocation: billed time times memory (1 GB is 1,024 MiB), and the request. Source: AWS Lambda pricing. */
function billOf(usage: Usage, prices: PriceList): Bill {
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

/** The same with what its requests to S3 cost; `estimated` where nobody counted all of them. */
function withRequests(bill: Bill, { puts, gets }: StoreRequests, prices: PriceList, { estimated }: { readonly estimated: boolean }): Bill {
  const storeNanoUsd = nanoUsd(puts * prices.usdPerPut + gets * prices.usdPerGet);
  return {
    ...bill,
    storeNanoUsd: bill.storeNanoUsd + storeNanoUsd,
    estimatedNanoUsd: bill.estimatedNanoUsd + (estimated ? storeNanoUsd : 0),
  };
}

/** What an invocation asked S3 for is in its log, to the last request or to within a tenth; without a log it is what it can have been at most. */
export async function billOfInvocation({ usage, logTail }: Invocation, prices: PriceList, unheard: Unheard): Promise<Bill> {
  const bill = billOf(usage, prices);
  const line = requestsTold(logTail);
  if (line) return withRequests(bill, line.all ? line.told : mostAfter(line.told), prices, { estimated: !line.all });
  return usage.estimated ? withRequests(bill, await unheard(usage.billedMs), prices, { estimated: true }) : bill;
}

/** An invocation whose answer was lost: charged as if it had run since then, at most to its time limit. */
export async function lostBill({ platform, nowMs }: EngineDependencies, sinceMs: number, memoryMib: number, unheard: Unheard): Promise<Bill> {
  const billedMs = Math.ceil(Math.min(nowMs() - sinceMs, platform.limits.timeoutMs));
  const usage = { billedMs, memoryMib, maxMemoryMib: 0, initMs: 0, cold: false, estimated: true };
  return withRequests(billOf(usage, platform.prices), await unheard(billedMs), platform.prices, { estimated: true });
}
