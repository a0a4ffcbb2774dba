import type { DecisionInput, Observation, Prices } from '../contracts/scheduling';
import { COLD_START_MS, ORCHESTRATION_MS } from './constants';
import { exchangeNanoUsd, type Workload } from './model/workload';
import { nnls } from './model/nnls';
import { median } from './normal';

/** What rounds cost beside their steps, learnt from rounds. */
export interface Overheads {
  readonly orchestrationMs: number;
  readonly coldStartMs: number;
  /** A function's time before and after its steps: reading the plan and the checkpoint, publishing. */
  readonly turnMs: number;
  /** Mean over median of the step's time: rare slow steps lengthen the whole, not the median. */
  readonly stretch: number;
  /** Bill of one worker's round beside its steps: request, writes, turn. */
  readonly turnNanoUsd: number;
  /** Billed time of a step over its measured time. */
  readonly billedStretch: number;
}

/** A warm turn took 20 to 60 ms on the embedded platform; stretch of warm steps 1.08 to 1.3. */
const TURN_MS = 40;
const STRETCH = 1.1;
/** Rounds' own scatter beside the model. */
const ROUND_NOISE = 0.1;
/** A worker's checkpoint range: parameters and state. */
const PUTS_PER_TURN = 2;
const REFERENCE_GB = 1_769 / 1_024;

/** One worker's turn in a round: its invocation, and what it leaves in the object store. */
export const turnRequestsNanoUsd = ({ usdPerRequest, usdPerPut }: Prices): number => (usdPerRequest + PUTS_PER_TURN * usdPerPut) * 1e9;
export const nanoUsdPerMs = (memoryMib: number, prices: Prices): number => (memoryMib / 1_024) * prices.usdPerGbSecond * 1e6;

/** @param coldStartMs  measured for this program, where a usual cold start would be far off */
export function fitOverheads(workload: Workload, observations: readonly Observation[], prices: Prices, coldStartMs = COLD_START_MS): Overheads {
  const done = observations.filter((observation) => observation.steps > 0);
  const warm = done.filter((observation) => !observation.cold);
  const colds = done.filter((observation) => observation.cold && observation.initMs > 0);
  const [turnMs, stretch] = fitLine(
    done.map(({ wallMs, orchestrationMs, initMs, steps, stepMs }) => ({ x: steps * stepMs, y: Math.max(0, wallMs - orchestrationMs - initMs) })),
    TURN_MS,
  );
  const turnPrior = TURN_MS * REFERENCE_GB * prices.usdPerGbSecond * 1e6 + turnRequestsNanoUsd(prices);
  const [turnNanoUsd, billedStretch] = fitLine(
    done.map(({ allocation, billedNanoUsd, initMs, steps, stepMs }) => {
      const perMs = nanoUsdPerMs(allocation.memoryMib, prices);
      const requests = (steps * exchangeNanoUsd(workload, allocation, prices)) / allocation.workers;
      return { x: steps * stepMs * perMs, y: Math.max(0, billedNanoUsd / allocation.workers - initMs * perMs - requests) };
    }),
    Math.max(turnPrior, 1),
  );
  return {
    // A cold round's start hides in its orchestration, so warm rounds are asked first.
    orchestrationMs: median((warm.length > 0 ? warm : []).slice(-5).map((observation) => observation.orchestrationMs)) || ORCHESTRATION_MS,
    coldStartMs: median(colds.map((observation) => observation.initMs)) || coldStartMs,
    turnMs,
    stretch: Math.max(1, stretch),
    turnNanoUsd,
    billedStretch: Math.max(1, billedStretch),
  };
}

/** What cold starts have taken in earlier runs, of whatever program. */
export function coldStartSeen({ earlier, related }: Pick<DecisionInput, 'earlier' | 'related'>): number | undefined {
  const seen = earlier.length > 0 ? earlier : related.flatMap(({ observations }) => observations);
  return median(seen.filter(({ cold, initMs }) => cold && initMs > 0).map(({ initMs }) => initMs)) || undefined;
}

/** y = fixed + slope x, both at least 0, on relative error, starting from what is usual. */
function fitLine(points: readonly { x: number; y: number }[], fixedPrior: number): [number, number] {
  const used = points.filter(({ y }) => y > 0);
  const rows = used.map(({ x, y }) => [1 / (ROUND_NOISE * y), x / (ROUND_NOISE * y)]);
  rows.push([1 / (2 * fixedPrior), 0], [0, 1 / (0.15 * STRETCH)]);
  const [fixed, slope] = nnls(rows, [...used.map(() => 1 / ROUND_NOISE), 1 / 2, 1 / 0.15]);
  return [fixed!, slope!];
}
