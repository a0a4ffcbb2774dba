// One job on one surface: what it really takes and costs anywhere, what the scheduler is told, and what a probe shows.
import type { Allocation } from '../../contracts/round';
import { DecisionInput, type DecisionRequest, type ObservationInput, type Prices } from '../../contracts/scheduling';
import { candidatesOf } from '../../scheduler/candidates';
import { normalFrom, uniformStream } from '../../scheduler/random';
import { surfaceOf, type Family, type Shape, type Surface } from './surface';

/** AWS list prices, x86, us-east-1. */
export const prices: Prices = { usdPerGbSecond: 1.66667e-5, usdPerRequest: 2e-7, usdPerPut: 5e-6, usdPerGet: 4e-7 };

export interface JobOptions {
  readonly family: Family;
  readonly minimize: 'cost' | 'time';
  readonly seed: number;
  /** SD of the logarithm of a probe's mean. */
  readonly noise: number;
  /** Time of the job at its fastest, from and to. */
  readonly lengthMs?: readonly [number, number];
  /** Announced from the beginning: from half of the samples on, a step takes so many times as many of them. */
  readonly batchFactor?: number;
}
/** Steps of one batch size. */
export interface Phase {
  readonly batchSize: number;
  readonly steps: number;
}
export interface Job extends JobOptions {
  readonly surface: Surface;
  readonly steps: number;
  /** The same steps by their batch size, in order. */
  readonly phases: readonly Phase[];
  /** Everything that memory and the account allow. */
  readonly shapes: readonly Shape[];
  readonly request: DecisionRequest;
  timeMs(shape: Shape, phases?: readonly Phase[]): number;
  costUsd(shape: Shape, phases?: readonly Phase[]): number;
  objective(shape: Shape): number;
  /** What the goal limits, as a share of its limit. */
  use(shape: Shape): number;
  /** The best shape that keeps the limit. */
  readonly best: number;
  /** The same amounts if a step took that long, for methods that predict steps. */
  whatIf(shape: Shape, stepMs: number): { ms: number; usd: number; objective: number; use: number };
}

const FUNCTION_MS = 870_000;
const ROUND_MS = 300_000;
/** Rounds are commands of a workflow; turns are what functions do before and after their steps. */
const ORCHESTRATION_MS = 60;
const TURN_MS = 40;
const SHORT: readonly [number, number] = [4 * 60_000, 3 * 3_600_000];
/** A share of probes meets a straggler that the barrier waits for. Source: docs/scheduler.md, problems. */
const STRAGGLER_SHARE = 0.05;
const LOOK_ROUNDS = 6;
/** Source: docs/scheduler.md, a window's noise. */
const ROUND_NOISE = 0.03;

export function jobOf(options: JobOptions): Job {
  const { family, minimize, seed, noise, lengthMs = SHORT, batchFactor = 1 } = options;
  const surface = surfaceOf(family, seed);
  const draw = uniformStream(seed, 0x10b, minimize.length);
  const base = requestOf(surface, seed, minimize, noise);
  const shapes = candidatesOf(DecisionInput.parse({ ...base, program: { ...base.program, peakMemoryMib: surface.peakMemoryMib } }));
  const fastestStepMs = Math.min(...shapes.map((shape) => surface.step(shape).stepMs));
  const plain = Math.max(20, Math.round((lengthMs[0] * (lengthMs[1] / lengthMs[0]) ** draw()) / fastestStepMs));
  const half = Math.floor(plain / 2);
  const { batchSize } = surface;
  const changed = { batchSize: batchSize * batchFactor, steps: Math.ceil((plain - half) / batchFactor) };
  const whole = batchFactor === 1 ? [{ batchSize, steps: plain }] : [{ batchSize, steps: half }, changed];
  const steps = whole.reduce((sum, phase) => sum + phase.steps, 0);

  const startMs = (shape: Shape) => surface.coldStartMs + 10 * shape.workers;
  const stepsMsOf = (shape: Shape, phases: readonly Phase[]) =>
    phases.reduce((sum, phase) => sum + phase.steps * surface.step(shape, phase.batchSize).stepMs, 0);
  const countOf = (phases: readonly Phase[]) => phases.reduce((sum, phase) => sum + phase.steps, 0);
  const timeOf = (shape: Shape, stepsMs: number) => {
    const restarts = Math.floor(stepsMs / FUNCTION_MS);
    const rounds = Math.ceil(stepsMs / ROUND_MS) + 20;
    return stepsMs + (1 + restarts) * startMs(shape) + rounds * (ORCHESTRATION_MS + TURN_MS);
  };
  const costOf = (shape: Shape, stepsMs: number, count: number) => {
    const restarts = Math.floor(stepsMs / FUNCTION_MS);
    const rounds = Math.ceil(stepsMs / ROUND_MS) + 20;
    const billedMs = stepsMs + (1 + restarts) * surface.coldStartMs + rounds * TURN_MS;
    const gbSeconds = (shape.workers * (shape.memoryMib / 1_024) * billedMs) / 1_000;
    return gbSeconds * prices.usdPerGbSecond + rounds * shape.workers * prices.usdPerRequest + count * storeUsdPerStep(surface, shape);
  };
  const timeMs = (shape: Shape, phases: readonly Phase[] = whole) => timeOf(shape, stepsMsOf(shape, phases));
  const costUsd = (shape: Shape, phases: readonly Phase[] = whole) => costOf(shape, stepsMsOf(shape, phases), countOf(phases));
  const [limited, objective] = minimize === 'cost' ? [timeMs, costUsd] : [costUsd, timeMs];
  const limitShare = 1.2 * 4 ** draw();
  const limit = limitShare * Math.min(...shapes.map((shape) => limited(shape)));
  const use = (shape: Shape) => limited(shape) / limit;
  const goal = { minimize, ...(minimize === 'cost' ? { deadlineAtMs: limit } : { budgetNanoUsd: Math.ceil(limit * 1e9) }) };
  const request = { ...base, goal: { minimize }, wholeGoal: goal, remainingSteps: steps };
  const best = Math.min(...shapes.filter((shape) => use(shape) <= 1).map((shape) => objective(shape)));
  const whatIf = (shape: Shape, stepMs: number) => {
    const [ms, usd] = [timeOf(shape, steps * stepMs), costOf(shape, steps * stepMs, steps)];
    return minimize === 'cost' ? { ms, usd, objective: usd, use: ms / limit } : { ms, usd, objective: ms, use: usd / limit };
  };
  return { ...options, surface, steps, phases: whole, shapes, request, timeMs, costUsd, objective, use, best, whatIf };
}

/** Only an object store charges by the request. */
function storeUsdPerStep({ exchange, traffic }: Surface, { workers, laneUnit }: Shape): number {
  if (exchange !== 's3') return 0;
  const { puts, gets } = traffic(workers, laneUnit);
  return puts * prices.usdPerPut + gets * prices.usdPerGet;
}

function requestOf(surface: Surface, seed: number, minimize: 'cost' | 'time', noise: number): DecisionRequest {
  const draw = uniformStream(seed, 0x9a1);
  // Counted operations say little about speed: the first guess is wrong by a log-normal factor of SD 1.
  const guess = Math.exp(normalFrom(draw));
  return {
    goal: { minimize },
    nowMs: 0,
    spentNanoUsd: 0,
    reservedNanoUsd: 0,
    remainingSteps: 1,
    stepsDone: 0,
    observations: [],
    program: {
      paramCount: surface.paramCount,
      bufferCount: 0,
      peakMemoryMib: 100,
      forwardFlopsPerSample: (surface.sampleMs * guess * 12e6) / 3,
      parallelShare: 0.85,
      microProbe: microProbe(surface, seed, noise),
    },
    batchSize: surface.batchSize,
    lanes: surface.lanes,
    bounds: { maxWorkers: 256, minMemoryMib: 512, maxMemoryMib: 10_240, concurrency: 1_000, totalCores: Infinity },
    prices,
    exchange: surface.exchange,
    groups: 1, // the surfaces have none
    phase: 'profile',
    probesLeft: 5,
    forbidden: {},
    seed,
  };
}

/** Three sizes of function, three micro-batches each, three repeats. Source: docs/scheduler.md, the micro-probe. */
const MICRO_SIZES_MIB = [1_769, 3_538, 7_076];
const MICRO_MOST_MS = 4_000;
function microProbe(surface: Surface, seed: number, noise: number) {
  const draw = uniformStream(seed, 0x111c);
  const perLane = surface.batchSize / surface.lanes;
  return MICRO_SIZES_MIB.filter((memoryMib) => surface.peakMemoryMib < 0.95 * memoryMib).flatMap((memoryMib) =>
    [1, 2, 4].flatMap((lanes) => {
      const samples = Math.max(1, Math.min(lanes * perLane, Math.floor((MICRO_MOST_MS / surface.sampleMs) * (lanes / 4))));
      const exactMs = surface.microBatchMs(memoryMib, samples);
      return [{ memoryMib, samples, computeMs: exactMs * Math.exp(noise * normalFrom(draw)), peakRssMib: surface.peakMemoryMib }];
    }),
  );
}
export function microProbeCost({ request }: Job): { wallMs: number; usd: number } {
  const samples = request.program.microProbe ?? [];
  const bySize = MICRO_SIZES_MIB.map((memoryMib) =>
    samples.filter((each) => each.memoryMib === memoryMib).reduce((sum, each) => sum + 3 * each.computeMs, 0),
  );
  return {
    wallMs: Math.max(...bySize),
    usd: bySize.reduce((sum, ms, i) => sum + (ms / 1_000) * (MICRO_SIZES_MIB[i]! / 1_024) * prices.usdPerGbSecond, 0),
  };
}

/** How the world may have moved since the plan. */
export interface Shock {
  readonly compute: number;
  readonly sync: number;
}
const CALM: Shock = { compute: 1, sync: 1 };

/** Runs one round of a job for real. */
export function observe(
  job: Job,
  allocation: Allocation,
  options: { round: number; cold: boolean; shock?: Shock; batchSize?: number },
): ObservationInput {
  const { round, cold, shock = CALM, batchSize = job.surface.batchSize } = options;
  const { surface, seed } = job;
  // Rounds after the looks are long: stragglers do not move their median.
  const isLook = round < LOOK_ROUNDS;
  const noise = isLook ? job.noise : ROUND_NOISE;
  const draw = uniformStream(seed, 0x0b5, round, allocation.workers, allocation.memoryMib);
  const true_ = surface.step(allocation, batchSize);
  const straggler = isLook && draw() < STRAGGLER_SHARE ? 1.3 + 1.2 * draw() : 1;
  const computeMs = shock.compute * true_.computeMs * straggler * Math.exp(noise * normalFrom(draw));
  const syncMs = Math.max(0.01, shock.sync * true_.syncMs - (true_.computeMs + true_.syncMs - true_.stepMs)) * Math.exp(noise * normalFrom(draw));
  const stepMs = computeMs + syncMs;
  const initMs = cold ? surface.coldStartMs : 0;
  const inFunctionMs = TURN_MS + initMs + allocation.steps * stepMs;
  // As workflows report it: wall time less the slowest function's own, so that starting them one after the other is in it.
  const orchestrationMs = ORCHESTRATION_MS + (cold ? 10 * allocation.workers : 0);
  const functionsUsd =
    allocation.workers * ((allocation.memoryMib / 1_024) * (Math.ceil(inFunctionMs) / 1_000) * prices.usdPerGbSecond + prices.usdPerRequest);
  const storeUsd = allocation.steps * storeUsdPerStep(surface, allocation);
  return {
    allocation,
    round,
    batchSize,
    steps: allocation.steps,
    wallMs: inFunctionMs + orchestrationMs,
    stepMs,
    parts: { computeMs, uploadMs: syncMs * 0.3, waitMs: syncMs * 0.5, downloadMs: syncMs * 0.2, reduceMs: 0, otherMs: 0 },
    initMs,
    orchestrationMs,
    billedNanoUsd: Math.ceil((functionsUsd + storeUsd) * 1e9),
    peakRssMib: surface.peakMemoryMib,
    cold,
  };
}
