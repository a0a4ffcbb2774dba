import { hashKeys } from '../random';
import { exchanges } from './machines';
import type { ExchangeModel } from './world';

/** Placements that the mean of the busiest node's load is taken over. */
const PLACEMENTS = 64;

/** So many that the workers' own networks are what they wait for. */
export const redisNodesFor = (workers: number): number =>
  Math.max(1, Math.ceil((workers * exchanges.redis.workerBytesPerMs) / exchanges.redis.storeBytesPerMs));

/**
 * Several Redis nodes. What one worker waits for lies on one node, chosen by a hash (storage/redis/redis-keys.ts), so loads
 * differ: all wait for the busiest node, and the nodes together are worth the number of workers over its share of them.
 */
export function redisNodes(nodes: number, workers: number): ExchangeModel {
  const one = exchanges.redis;
  let busiest = 0;
  for (let placement = 0; placement < PLACEMENTS; placement += 1) {
    const loads = new Int32Array(nodes);
    for (let worker = 0; worker < workers; worker += 1) loads[hashKeys(placement, worker, nodes) % nodes]! += 1;
    busiest += Math.max(...loads) / PLACEMENTS;
  }
  const worth = workers / busiest;
  return { ...one, storeBytesPerMs: worth * one.storeBytesPerMs, requestsPerMs: worth * one.requestsPerMs, usdPerHour: nodes * one.usdPerHour };
}
