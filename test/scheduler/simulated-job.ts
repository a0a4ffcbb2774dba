import { exchanges, lambdaWorld, noFaults, smltPhases } from '../../scheduler/simulator';
import type { Faults, SimulatedJob, SimulationOptions, World } from '../../scheduler/simulator';
import { prices } from './machine';

export interface Change {
  readonly world?: Partial<World>;
  readonly job?: Partial<SimulatedJob>;
  readonly faults?: Partial<Faults>;
  readonly policy?: SimulationOptions['policy'];
  readonly seed?: number;
}
const LANES = 64;
export const program = { paramCount: 1_000_000, bufferCount: 0, peakMemoryMib: 200, forwardFlopsPerSample: 4e7 };

/** A million parameters on Lambda over Redis: a batch takes 16 s on one vCPU. */
export function simulation({ world: worldChange, job: jobChange, faults, policy, seed = 1 }: Change = {}): SimulationOptions {
  const world = lambdaWorld({
    prices,
    exchange: exchanges.redis,
    work: { sampleMs: 15, parallelShare: 0, fixedMs: 5, peakMemoryMib: 260, reloadBytes: 12e6 },
    faults: { ...noFaults, ...faults },
    ...worldChange,
  });
  const job: SimulatedJob = {
    goal: { minimize: 'cost' },
    totalSteps: 200,
    batches: { batchSize: 1_024 },
    lanes: LANES,
    program,
    bounds: { minWorkers: 1, maxWorkers: LANES, minMemoryMib: 128, maxMemoryMib: 10_240, concurrency: 1_000, totalCores: Infinity },
    exchange: 'redis',
    prices,
    probes: 0,
    ...jobChange,
  };
  const step = { topology: 'scatter-reduce', lanes: job.lanes, ...job.program, slots: 2 } as const;
  return { world, job, seed, phases: (workers, laneUnit) => smltPhases({ ...step, laneUnit }, workers, world.exchange), ...(policy && { policy }) };
}

/** Always the same allocation. */
export const always =
  (workers: number, memoryMib: number, steps: number): NonNullable<SimulationOptions['policy']> =>
  () => {
    const quantiles = { p05: 1, p50: 1, p95: 1 };
    const prediction = { stepMs: 1, remainingMs: quantiles, remainingNanoUsd: quantiles, roundNanoUsdP95: 1, feasibility: 1 };
    return { kind: 'run', allocation: { workers, memoryMib, steps }, prediction, reason: 'always the same' };
  };
