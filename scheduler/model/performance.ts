import type { Observation } from '../../contracts/scheduling';
import { DEFAULT_NOISE, EARLIER_NOISE, LEAST_NOISE, NOISE_MARGIN, RESIDUAL_AMPLITUDE, SCALED_NOISE } from '../constants';
import { movedRatio, type Drift } from '../drift';
import { logSd } from '../normal';
import { fitComponent, type ComponentSample } from './component';
import { computeFeatures, computePrior, positionOf, syncFeatures, syncPrior, type Shape, type Workload } from './workload';

export interface StepPrediction {
  /** Median of one step's time. */
  readonly stepMs: number;
  readonly computeMs: number;
  readonly syncMs: number;
  /** SD of the step time's logarithm. */
  readonly logSd: number;
}
/** @param batchSize  left out: the next step's */
export type PerformanceModel = (shape: Shape, batchSize?: number) => StepPrediction;

/** A component this small beside the whole step says "about nothing". */
const NEGLIGIBLE_SHARE = 0.1;
/** A cold round includes first-run compilation: trusted half as much. */
const COLD_NOISE_FACTOR = 2;

/** Fits compute and synchronisation apart and adds them up; `earlier` observations count as a weak prior. Where an observation cannot split its time, the fit so far splits it. */
export function fitPerformance(
  workload: Workload,
  observations: readonly Observation[],
  drift?: Drift,
  earlier: readonly Observation[] = [],
): PerformanceModel {
  const usable = observations.filter((observation) => observation.steps > 0 && observation.stepMs > 0);
  const noise = NOISE_MARGIN * Math.max(measuredNoise(drift ? usable.filter((each) => each.round >= drift.sinceRound) : usable), LEAST_NOISE);
  const prior = computePrior(workload);
  const withBatch = (batchSize: number | undefined): Workload => (batchSize === undefined ? workload : { ...workload, batchSize });
  const unfitted = (shape: Shape, batchSize: number | undefined) => {
    const weigh = (theta: readonly number[], features: number[]) => features.reduce((sum, phi, i) => sum + phi * theta[i]!, 0);
    const computeMs = weigh(prior.theta, computeFeatures(withBatch(batchSize), shape));
    return computeMs / (computeMs + weigh(syncPrior.theta, syncFeatures(workload, shape)));
  };
  const compute: ComponentSample[] = [];
  const sync: ComponentSample[] = [];
  const remembered = new Set(earlier.filter((observation) => observation.steps > 0 && observation.stepMs > 0));
  for (const observation of [...remembered, ...usable]) {
    const { allocation, batchSize, parts, stepMs, cold, merged } = observation;
    // Parts are means and the step is a median, which rare slow steps do not move: only the parts' shares are taken.
    const partsMs = parts ? Object.values(parts).reduce((sum, partMs) => sum + partMs, 0) : 0;
    const isSplit = parts !== undefined && partsMs > 0;
    const computeMs = stepMs * (isSplit ? parts.computeMs / partsMs : unfitted(allocation, batchSize));
    const isEarlier = remembered.has(observation);
    const isOld = !isEarlier && drift !== undefined && observation.round < drift.sinceRound;
    const common = {
      at: positionOf(allocation),
      noise: Math.max(
        isEarlier ? EARLIER_NOISE : isOld ? SCALED_NOISE : 0,
        (cold ? COLD_NOISE_FACTOR : 1) * Math.max(noise / Math.sqrt(merged), LEAST_NOISE) * (isSplit ? 1 : 2),
      ),
      floorMs: NEGLIGIBLE_SHARE * stepMs,
    };
    compute.push({
      ...common,
      features: computeFeatures(withBatch(batchSize), allocation),
      valueMs: computeMs * (isOld ? movedRatio(drift.computeRatio) : 1),
    });
    sync.push({ ...common, features: syncFeatures(workload, allocation), valueMs: (stepMs - computeMs) * (isOld ? movedRatio(drift.syncRatio) : 1) });
  }
  const computeModel = fitComponent(compute, prior, RESIDUAL_AMPLITUDE);
  const syncModel = fitComponent(sync, syncPrior, RESIDUAL_AMPLITUDE);
  return (shape, batchSize) => {
    const at = positionOf(shape);
    const c = computeModel.predict(computeFeatures(withBatch(batchSize), shape), at);
    const s = syncModel.predict(syncFeatures(workload, shape), at);
    const stepMs = Math.max(c.meanMs + s.meanMs, 1e-6);
    return { stepMs, computeMs: c.meanMs, syncMs: s.meanMs, logSd: logSd(stepMs, c.varianceMs2 + s.varianceMs2) };
  };
}

/** Pooled SD of the step time's logarithm within allocations seen more than once. */
function measuredNoise(observations: readonly Observation[]): number {
  const groups = new Map<string, number[]>();
  for (const { allocation, stepMs, cold } of observations) {
    if (cold) continue;
    const key = `${allocation.workers}x${allocation.memoryMib}`;
    groups.set(key, [...(groups.get(key) ?? []), Math.log(stepMs)]);
  }
  let squares = 0;
  let degrees = 0;
  for (const logs of groups.values()) {
    const mean = logs.reduce((sum, value) => sum + value, 0) / logs.length;
    squares += logs.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    degrees += logs.length - 1;
  }
  return degrees >= 2 ? Math.sqrt(squares / degrees) : DEFAULT_NOISE;
}
