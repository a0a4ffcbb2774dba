import { nanoUsd } from '../contracts/units';

export interface IterationShape {
  readonly workers: number;
  readonly memoryMib: number;
  readonly durationMs: number;
}
export interface LambdaPrice {
  readonly usdPerGbSecond: number;
  readonly usdPerRequest: number;
}

/**
 * Predicts the Lambda bill for one iteration. Source: AWS Lambda pricing, where 1 GB is 1,024 MiB.
 * @param durationMs  billed time of one worker, initialisation included
 * @returns US dollars, unrounded; round only when printing
 */
export function iterationCostUsd({ workers, memoryMib, durationMs }: IterationShape, price: LambdaPrice): number {
  const gbSeconds = workers * (memoryMib / 1_024) * (durationMs / 1_000);
  return gbSeconds * price.usdPerGbSecond + workers * price.usdPerRequest;
}

/**
 * What one round costs: every worker's billed time (rounded up to whole ms as AWS does), its request, and the object
 * store's writes and reads. @returns nano-dollars, rounded up: a bill is never understated
 */
export function roundCostNanoUsd(
  { workers, memoryMib, durationMs }: IterationShape,
  prices: LambdaPrice & { readonly usdPerPut: number; readonly usdPerGet: number },
  store: { readonly puts: number; readonly gets: number } = { puts: 0, gets: 0 },
): number {
  const functionsUsd = iterationCostUsd({ workers, memoryMib, durationMs: Math.ceil(durationMs) }, prices);
  return nanoUsd(functionsUsd + store.puts * prices.usdPerPut + store.gets * prices.usdPerGet);
}
