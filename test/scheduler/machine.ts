import type { Allocation } from '../../contracts/round';
import type { DecisionRequest, ObservationInput, Prices } from '../../contracts/scheduling';
import { normalFrom, uniformStream } from '../../scheduler/random';

/** AWS list prices, x86, us-east-1. */
export const prices: Prices = { usdPerGbSecond: 1.66667e-5, usdPerRequest: 2e-7, usdPerPut: 5e-6, usdPerGet: 4e-7 };

/** A small convolutional net on digits, on a machine of two cores with an exchange of files. */
export const digits = (change: Partial<DecisionRequest> = {}): DecisionRequest => ({
  goal: { minimize: 'time', budgetNanoUsd: 100_000_000, deadlineAtMs: 600_000 },
  nowMs: 0,
  spentNanoUsd: 0,
  reservedNanoUsd: 0,
  remainingSteps: 155,
  stepsDone: 0,
  observations: [],
  program: { paramCount: 44_426, bufferCount: 0, peakMemoryMib: 150, forwardFlopsPerSample: 800_000 },
  batchSize: 256,
  lanes: 16,
  bounds: { maxWorkers: 16, minMemoryMib: 128, maxMemoryMib: 10_240, concurrency: 100, totalCores: 2 },
  prices,
  phase: 'run',
  probesLeft: 3,
  forbidden: {},
  seed: 1,
  ...change,
});

export interface Truth {
  computeMs(allocation: Allocation): number;
  syncMs(allocation: Allocation): number;
  readonly noise: number;
  readonly peakRssMib: number;
}
/** What slice measurements on two cores showed: 98 µs a sample, 2 to 3 ms a barrier. */
export const twoCores: Truth = {
  computeMs: ({ workers, memoryMib }) => (25 * Math.ceil(16 / workers)) / 16 / Math.min(1, memoryMib / 1_769, 2 / workers),
  syncMs: ({ workers }) => 1 + (workers > 1 ? 1.2 * workers : 0),
  noise: 0.05,
  peakRssMib: 165,
};

/** Runs one round on a known machine. */
export function playRound(allocation: Allocation, truth: Truth, options: { round: number; seed: number; cold: boolean }): ObservationInput {
  const { round, seed, cold } = options;
  const uniform = uniformStream(seed, round, allocation.workers, allocation.memoryMib);
  const computeMs = truth.computeMs(allocation) * Math.exp(truth.noise * normalFrom(uniform));
  const syncMs = truth.syncMs(allocation) * Math.exp(truth.noise * normalFrom(uniform));
  const stepMs = computeMs + syncMs;
  const initMs = cold ? 150 : 0;
  const inFunctionMs = 30 + allocation.steps * stepMs * 1.08;
  const billedMs = Math.ceil(inFunctionMs + initMs);
  return {
    allocation,
    round,
    steps: allocation.steps,
    wallMs: inFunctionMs + initMs + 60,
    stepMs,
    parts: { computeMs, uploadMs: syncMs * 0.3, waitMs: syncMs * 0.5, downloadMs: syncMs * 0.1, reduceMs: syncMs * 0.1, otherMs: 0 },
    initMs,
    orchestrationMs: 60,
    billedNanoUsd: Math.ceil(
      allocation.workers * ((allocation.memoryMib / 1_024) * (billedMs / 1_000) * prices.usdPerGbSecond + prices.usdPerRequest) * 1e9,
    ),
    peakRssMib: truth.peakRssMib,
    cold,
  };
}
