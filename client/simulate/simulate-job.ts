import { SmltError } from '../../contracts/errors';
import { minimizeOf, type Minimize } from '../../contracts/goal';
import type { Job } from '../../contracts/job';
import { mostRoundSteps } from '../../contracts/round-length';
import { durationMs } from '../../contracts/units';
import { listPrices } from '../../platforms/lambda/prices';
import { FLOPS_PER_MS, TRAINING_PER_FORWARD_FLOPS } from '../../scheduler/constants';
import { exchanges, lambdaWorld, simulateRun, smltPhases, type Change, type Faults, type SimulatedRun } from '../../scheduler/simulator';
import { slotCount } from '../../training/optimizers';
import { checkJob } from '../check-job';

export interface SimulateOptions {
  /** Left out: the scheduler chooses, within the job's bounds. */
  readonly workers?: number | undefined;
  readonly memoryMib?: number | undefined;
  readonly exchange: keyof typeof exchanges;
  readonly faults: Faults;
  readonly changes: readonly Change[];
  /** Time of one sample on one vCPU; left out: from the model's counted operations. */
  readonly sampleMs?: number | undefined;
  readonly seed: number;
}
export interface JobSimulation {
  readonly name: string;
  readonly totalSteps: number;
  readonly paramCount: number;
  readonly sampleMs: number;
  readonly goal: { readonly minimize: Minimize; readonly budgetUsd: number | null; readonly deadlineMs: number | null };
  readonly exchange: keyof typeof exchanges;
  readonly changes: readonly Change[];
  readonly run: SimulatedRun;
}

/** AWS's default quota of concurrent executions an account and region. */
const ACCOUNT_CONCURRENCY = 1_000;
const MAX_MEMORY_MIB = 10_240;
const MIN_MEMORY_MIB = 128;
const FLOAT_BYTES = 4;

/**
 * Trains a job in simulated time on simulated functions of AWS Lambda. Starts nothing, spends nothing.
 * @throws {SmltError} what `checkJob` throws; `InvalidSpec` for more workers than lanes
 */
export async function simulateJob(job: Job, options: SimulateOptions, tell: (line: string) => void): Promise<JobSimulation> {
  const { workers, memoryMib = job.allocation.memoryMib, exchange, faults, changes, seed } = options;
  const { lanes } = job.training;
  if (workers !== undefined && workers > lanes)
    throw new SmltError('InvalidSpec', `--workers ${workers}: training.lanes is ${lanes}, and a worker drives at least one lane; raise training.lanes, or simulate at most ${lanes} workers`); // prettier-ignore
  const { model, totalSteps } = await checkJob(job, Date.now(), tell);
  const deadlineMs = deadlineOf(job);
  const { budgetUsd } = job.goal;
  const minimize = minimizeOf(job.goal);
  const prices = listPrices.x64;
  const slots = slotCount(job.training.optimizer, job.training.weightAverage);
  const sampleMs = options.sampleMs ?? (TRAINING_PER_FORWARD_FLOPS * Math.max(model.forwardFlopsPerSample, 2 * model.paramCount)) / FLOPS_PER_MS;
  const work = {
    ...{ sampleMs, parallelShare: 0.01, fixedMs: sampleMs, peakMemoryMib: model.peakMemoryMib },
    reloadBytes: (1 + slots) * FLOAT_BYTES * model.paramCount,
  };
  const world = lambdaWorld({ prices, exchange: exchanges[exchange], work, faults, changes });
  const { topology, compression } = job.synchronization;
  const step = { topology, compression, lanes, paramCount: model.paramCount, bufferCount: 0, slots };
  const run = simulateRun({
    world,
    seed,
    phases: (count, laneUnit) => smltPhases({ ...step, laneUnit }, count, world.exchange),
    job: {
      goal: { minimize, deadlineMs, budgetUsd },
      totalSteps,
      batches: job.training,
      lanes,
      // What was measured is known to the scheduler too; surprises are changes.
      program: { ...model, bufferCount: 0, ...(options.sampleMs !== undefined && { gradientMsPerSample: options.sampleMs }) },
      bounds: {
        minWorkers: workers ?? job.allocation.minWorkers ?? 1,
        maxWorkers: workers ?? job.allocation.maxWorkers ?? ACCOUNT_CONCURRENCY,
        ...(memoryMib !== undefined && { memoryMib }),
        ...{ minMemoryMib: MIN_MEMORY_MIB, maxMemoryMib: MAX_MEMORY_MIB, concurrency: ACCOUNT_CONCURRENCY, totalCores: Infinity },
      },
      ...{ exchange, topology, compression, prices },
      mostRoundSteps: mostRoundSteps({ ...job.synchronization, stepsPerRound: job.allocation.stepsPerRound, paramCount: model.paramCount }),
      probes: workers === undefined ? PROBES : 0,
    },
  });
  const goal = { minimize, budgetUsd: budgetUsd ?? null, deadlineMs: deadlineMs ?? null };
  return { name: job.name, totalSteps, paramCount: model.paramCount, sampleMs, goal, exchange, changes, run };
}
/** Short rounds of a profile stage, at most. Source: workflows/track.ts. */
const PROBES = 5;

/** From now; the past has been refused by the job's check. */
function deadlineOf({ goal: { deadline } }: Job): number | undefined {
  if (deadline === undefined) return undefined;
  return /^\d{4}-/.test(deadline) ? Date.parse(deadline) - Date.now() : durationMs(deadline);
}
