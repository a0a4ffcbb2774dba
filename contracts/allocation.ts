import { z } from 'zod';
import { ExchangeKind } from './exchange';

/** What the scheduler decides: how many functions of what size, and how many steps they run as one batch of activities. */
export const Allocation = z.object({
  workers: z.int().min(1),
  memoryMib: z.int().min(128),
  steps: z.int().min(1),
  /** What they exchange over, where there is a choice. */
  exchange: ExchangeKind.optional(),
  /** Its servers, where there is more than one. */
  shards: z.int().min(2).optional(),
  /** Their lanes are cut in units of so many, a power of two, which publishes less; left out: one by one. */
  laneUnit: z.int().min(2).optional(),
});
export type Allocation = z.output<typeof Allocation>;

/** All of an allocation but the length of its rounds: what sets a step's time. */
export type AllocationShape = Omit<Allocation, 'steps'>;

/** The same text for allocations that differ in nothing but steps. */
export const shapeKey = ({ workers, memoryMib, exchange, shards = 1, laneUnit }: AllocationShape): string =>
  `${workers}x${memoryMib}${exchange ? ` ${exchange}/${shards}` : ''}${laneUnit ? ` by ${laneUnit}` : ''}`;
export const sameShape = (a: AllocationShape, b: AllocationShape): boolean => shapeKey(a) === shapeKey(b);
