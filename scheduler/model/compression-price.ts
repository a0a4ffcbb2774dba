import type { Compression } from '../../contracts/compression';
import { mostLanes } from '../../contracts/cut';
import { vcpusOf, type Shape, type Workload } from './workload';

/** One vCPU's time for a million elements, ms. Source: bench/compression.mjs. */
interface ElementPrice {
  /** What a lane sends is chosen, and the rest kept. */
  readonly laneMs: number;
  /** A sum is rounded. */
  readonly settleMs: number;
  /** A sum is encoded, and another one decoded. */
  readonly codeMs: number;
}
const prices: Record<Compression['kind'], ElementPrice> = {
  bf16: { laneMs: 0, settleMs: 2.7, codeMs: 2.6 },
  fp16: { laneMs: 0, settleMs: 41, codeMs: 41 },
  qsgd: { laneMs: 0, settleMs: 17, codeMs: 17 },
  'top-k': { laneMs: 9.2, settleMs: 0, codeMs: 1.3 },
  significance: { laneMs: 9.3, settleMs: 0, codeMs: 1.4 },
};

/**
 * What a step's computing takes longer where gradients are compressed: a worker settles every lane's gradient and every sum of
 * two, and encodes and decodes as much as it owns of all.
 */
export function compressionMs(workload: Workload, shape: Shape): number {
  const { compression, paramCount, lanes, totalCores } = workload;
  if (compression === undefined) return 0;
  const { laneMs, settleMs, codeMs } = prices[compression.kind];
  const ownLanes = mostLanes(lanes, shape.workers, shape.laneUnit);
  const perElement = ownLanes * (laneMs + 2 * settleMs) + (shape.workers > 1 ? codeMs : 0);
  return ((paramCount / 1e6) * perElement) / Math.min(1, vcpusOf(shape, totalCores));
}
