import type { ExchangeKind } from '../../contracts/exchange';
import type { Prices } from '../../contracts/scheduling';
import {
  FUNCTION_LIMIT_MS,
  MAX_VCPUS,
  MIB_PER_VCPU,
  ORCHESTRATION_MS,
  START_SPREAD_MS_PER_WORKER,
  WORKER_BYTES_PER_MS,
  BURST_REFILL_MS,
  BURST_WORKERS,
} from '../constants';
import { Faults, type ExchangeModel, type WorkerKind, type World } from './world';

/** Functions as AWS Lambda has them. */
export const lambdaWorkers = ({ usdPerGbSecond, usdPerRequest }: Pick<Prices, 'usdPerGbSecond' | 'usdPerRequest'>): WorkerKind => ({
  vcpus: (memoryMib) => Math.min(memoryMib / MIB_PER_VCPU, MAX_VCPUS),
  usdPerMs: (memoryMib) => ((memoryMib / 1_024) * usdPerGbSecond) / 1_000,
  usdPerStart: usdPerRequest,
  leastBilledMs: 1,
  limitMs: FUNCTION_LIMIT_MS,
  startMs: (workers) => (workers > BURST_WORKERS ? BURST_REFILL_MS * Math.ceil((workers - BURST_WORKERS) / BURST_WORKERS) : 0),
  startSpreadMs: START_SPREAD_MS_PER_WORKER,
});
/** A round in the workflow: 61 ms with 8 workers, about 70 with 128, in chunks of 16. Source: measured on a tuned development server. */
export const orchestrationMs = (workers: number): number => ORCHESTRATION_MS + 0.08 * workers;
export const TURN_MS = 40;

/** A world of Lambda functions over an exchange, beside what a caller states otherwise: the usual faults, and no changes. */
export const lambdaWorld = ({ prices, ...world }: Pick<World, 'exchange' | 'work'> & Partial<World> & { readonly prices: Prices }): World => ({
  workers: lambdaWorkers(prices),
  faults: Faults.parse({}),
  changes: [],
  orchestrationMs,
  turnMs: TURN_MS,
  usdPerPut: prices.usdPerPut,
  usdPerGet: prices.usdPerGet,
  ...world,
});

const free = { usdPerHour: 0, usdPerPut: 0, usdPerGet: 0, usdPerByte: 0 };
/**
 * Latency, bandwidth and price of each exchange. Source: rules, sections 2 and 6; a Redis node is cache.r6g.large at
 * $0.206 an hour, about 100,000 requests a second; S3 serves 3,500 puts and 5,500 gets a second and prefix, here of 16.
 */
export const exchanges: Readonly<Record<Exclude<ExchangeKind, 'hybrid'>, ExchangeModel>> = {
  files: { latencyMs: 1, workerBytesPerMs: 4e5, storeBytesPerMs: 2e6, requestsPerMs: 1_000, ...free },
  redis: { latencyMs: 1.2, workerBytesPerMs: WORKER_BYTES_PER_MS, storeBytesPerMs: 1e6, requestsPerMs: 100, ...free, usdPerHour: 0.206 },
  s3: { latencyMs: 25, workerBytesPerMs: WORKER_BYTES_PER_MS, storeBytesPerMs: 2e7, requestsPerMs: 72, ...free, usdPerPut: 5e-6, usdPerGet: 4e-7 },
};
