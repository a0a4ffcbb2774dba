import type { ExchangeKind } from '../../contracts/exchange';
import type { MicroSample, Observation } from '../../contracts/scheduling';
import { COLD_NOISE_FACTOR, DEFAULT_NOISE, EARLIER_NOISE, LEAST_NOISE, RELATED_NOISE, NOISE_MARGIN, SCALED_NOISE } from '../constants';
import { logSd } from '../normal';
import { settingKey } from '../setting';
import { compressionMs } from './compression-price';
import { fitComponent, type ComponentSample } from './component';
import { nnls } from './nnls';
import { pool } from './pool';
import {
  computeFeatures,
  computePrior,
  microFeatures,
  microPosition,
  positionOf,
  syncFeatures,
  syncPrior,
  syncPriorFor,
  type Shape,
  type Workload,
} from './workload';

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
/** Compressing may have taken less than its price; gradients take something. */
const LEAST_GRADIENT_SHARE = 0.1;
/** Without its parts a step's time teaches half as much about each. */
const UNSPLIT_NOISE_FACTOR = 2;

export interface RelatedRun {
  readonly workload: Workload;
  readonly computeRatio: number;
  readonly observations: readonly Observation[];
}
export interface FitOptions {
  readonly earlier?: readonly Observation[];
  /** Other programs' runs, as `relatedWorkload` makes them comparable. */
  readonly related?: readonly RelatedRun[];
  readonly microProbe?: readonly MicroSample[] | undefined;
}

/** Fits compute and synchronisation apart and adds them up; `earlier` observations count as a weak prior. Where an observation cannot split its time, the fit so far splits it. */
export function fitPerformance(
  workload: Workload,
  observations: readonly Observation[],
  { earlier = [], related = [], microProbe = [] }: FitOptions = {},
): PerformanceModel {
  const usable = observations.filter((observation) => observation.steps > 0 && observation.stepMs > 0);
  // Measured before the first round: every drift since has moved them.
  const first = usable.reduce<Observation | undefined>((a, b) => (a === undefined || b.round < a.round ? b : a), undefined);
  const singles = microProbe.map(({ memoryMib, samples, computeMs }): ComponentSample => ({
    features: microFeatures(workload, memoryMib, samples),
    at: microPosition(workload, memoryMib, samples),
    valueMs: computeMs * (first?.movedSince?.compute ?? 1),
    noise: first?.movedSince ? SCALED_NOISE : LEAST_NOISE,
    floorMs: 0,
    isAlone: true,
  }));
  const today = usable.filter(({ movedSince }) => movedSince === undefined);
  const noise = NOISE_MARGIN * Math.max(measuredNoise(today, singles), LEAST_NOISE);
  const guess = computePrior(workload, singles);
  const withBatch = (batchSize: number | undefined): Workload => (batchSize === undefined ? workload : { ...workload, batchSize });
  // Before anything of this kind was split, the prior says how a whole time divides.
  const unfitted = (shape: Shape, batchSize: number | undefined) => {
    const weigh = (theta: readonly number[], features: number[]) => features.reduce((sum, phi, i) => sum + phi * theta[i]!, 0);
    const computeMs = weigh(guess.theta, computeFeatures(withBatch(batchSize), shape));
    return computeMs / (computeMs + weigh(syncPrior.theta, syncFeatures(workload, shape)));
  };
  const seenBy = (as: Workload, { compression }: Observation): Workload =>
    compression === undefined ? as : { ...as, compression: compression ?? undefined };
  const compute: ComponentSample[] = singles.map((single) => ({ ...single, noise: Math.max(single.noise, noise) }));
  const sync = new Map<ExchangeKind, ComponentSample[]>();
  const isUsable = ({ steps, stepMs }: Observation) => steps > 0 && stepMs > 0;
  const here = { as: workload, computeRatio: 1 };
  const seen = [
    // Without its parts another program's time says nothing of this one's.
    ...related.flatMap(({ workload: as, computeRatio, observations: its }) =>
      its.filter((each) => isUsable(each) && each.parts).map((observation) => ({ observation, as, computeRatio, leastNoise: RELATED_NOISE })),
    ),
    ...earlier.filter(isUsable).map((observation) => ({ observation, ...here, leastNoise: EARLIER_NOISE })),
    ...usable.map((observation) => ({ observation, ...here, leastNoise: observation.movedSince ? SCALED_NOISE : 0 })),
  ];
  for (const { observation, as, computeRatio, leastNoise } of seen) {
    const { allocation, batchSize, parts, stepMs, cold, merged, movedSince } = observation;
    // Parts are means and the step is a median, which rare slow steps do not move: only the parts' shares are taken.
    const partsMs = parts ? Object.values(parts).reduce((sum, partMs) => sum + partMs, 0) : 0;
    const isSplit = parts !== undefined && partsMs > 0;
    const computeMs = stepMs * (isSplit ? parts.computeMs / partsMs : unfitted(allocation, batchSize));
    const asSeen = seenBy(as, observation);
    const gradientMs = Math.max(computeMs - compressionMs(asSeen, allocation), LEAST_GRADIENT_SHARE * computeMs);
    const common = {
      at: positionOf(allocation),
      noise: Math.max(
        leastNoise,
        (cold ? COLD_NOISE_FACTOR : 1) * Math.max(noise / Math.sqrt(merged), LEAST_NOISE) * (isSplit ? 1 : UNSPLIT_NOISE_FACTOR),
      ),
      floorMs: NEGLIGIBLE_SHARE * stepMs,
      isAlone: false,
    };
    compute.push({
      ...common,
      features: computeFeatures({ ...as, batchSize: batchSize ?? as.batchSize }, allocation),
      valueMs: gradientMs * computeRatio * (movedSince?.compute ?? 1),
    });
    const over = allocation.exchange ?? workload.exchange;
    sync.set(over, [
      ...(sync.get(over) ?? []),
      { ...common, features: syncFeatures(asSeen, allocation), valueMs: (stepMs - computeMs) * (movedSince?.sync ?? 1) },
    ]);
  }
  const computeModel = fitComponent(pool(compute), computePrior(workload, compute));
  // Each exchange has its own truth: one that is faster than usual says nothing of the others.
  const syncModels = new Map([...sync].map(([kind, samples]) => [kind, fitComponent(pool(samples), syncPriorFor(samples))]));
  const untried = fitComponent([], syncPrior);
  // Allocations that differ in their exchange only compute alike.
  const computed = new Map<string, ReturnType<typeof computeModel.predict>>();
  return (shape, batchSize) => {
    const at = positionOf(shape);
    const key = `${shape.workers}x${shape.memoryMib}x${batchSize ?? workload.batchSize}`;
    const c = computed.get(key) ?? computeModel.predict(computeFeatures(withBatch(batchSize), shape), at);
    computed.set(key, c);
    const s = (syncModels.get(shape.exchange ?? workload.exchange) ?? untried).predict(syncFeatures(workload, shape), at);
    const computeMs = c.meanMs + compressionMs(workload, shape);
    const stepMs = Math.max(computeMs + s.meanMs, 1e-6);
    return { stepMs, computeMs, syncMs: s.meanMs, logSd: logSd(stepMs, c.varianceMs2 + s.varianceMs2) };
  };
}

/** What is believed of the noise before anything repeats, in degrees of freedom. */
const NOISE_PRIOR_DEGREES = 3;

/** Pooled SD of the logarithm: of step times within allocations seen more than once, and of micro-batches around their own line. */
function measuredNoise(observations: readonly Observation[], singles: readonly ComponentSample[]): number {
  const groups = new Map<string, number[]>();
  for (const observation of observations) {
    if (observation.cold) continue;
    const { stepMs } = observation;
    const key = settingKey(observation);
    groups.set(key, [...(groups.get(key) ?? []), Math.log(stepMs)]);
  }
  let squares = NOISE_PRIOR_DEGREES * DEFAULT_NOISE ** 2;
  let degrees = NOISE_PRIOR_DEGREES;
  for (const logs of groups.values()) {
    const mean = logs.reduce((sum, value) => sum + value, 0) / logs.length;
    squares += logs.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    degrees += logs.length - 1;
  }
  const free = singles.length - MICRO_COEFFICIENTS;
  if (free > 0) {
    const theta = nnls(
      singles.map(({ features, valueMs }) => features.slice(0, MICRO_COEFFICIENTS).map((phi) => phi / valueMs)),
      singles.map(() => 1),
    );
    squares += singles.reduce((sum, { features, valueMs }) => {
      const lineMs = theta.reduce((total, value, i) => total + value * features[i]!, 0);
      return sum + Math.log(valueMs / Math.max(lineMs, 1e-9)) ** 2;
    }, 0);
    degrees += free;
  }
  return Math.sqrt(squares / degrees);
}
/** Serial, parallel and fixed part; alone there is no straggler to wait for. */
const MICRO_COEFFICIENTS = 3;
