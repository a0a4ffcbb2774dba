// CPU time of one decision at the shape of the goal: 600 candidates, 20 observations, all of different allocations.
import { DecisionInput } from '../../contracts/scheduling';
import { createOptimizer, decideNext, type Trial } from '../../scheduler';
import { candidatesOf } from '../../scheduler/candidates';
import { jobOf, observe } from './job';
import { families } from './surface';

const OBSERVATIONS = 20;
const CANDIDATES = 600;
/** Several exchanges to choose from bring 80 to 144 shapes to 600 candidates and more. */
const EXCHANGES = [
  ...(['files', 'hybrid', 's3', 'redis'] as const).map((kind) => ({ kind, shards: 1 })),
  ...[2, 4, 8, 16].map((shards) => ({ kind: 'redis' as const, shards })),
];

function cpuMsOf(act: () => void): number {
  const begin = process.cpuUsage();
  act();
  const { user, system } = process.cpuUsage(begin);
  return (user + system) / 1_000;
}
const spread = <T>(list: readonly T[]): T[] => Array.from({ length: OBSERVATIONS }, (_, i) => list[Math.floor((i * list.length) / OBSERVATIONS)]!);

/** Decisions of a job on every family and seed. @returns candidates of the smallest, and CPU ms of each */
export function decisionTimes(seeds: number, from: number): { candidates: number; cpuMs: number[] } {
  let candidates = Infinity;
  const cpuMs = families.flatMap((family) =>
    Array.from({ length: seeds }, (_, i) => {
      const job = jobOf({ family, minimize: 'cost', seed: from + i, noise: 0.05 });
      const wide = { ...job.request, remainingSteps: job.steps, exchanges: EXCHANGES.slice(0, Math.ceil(CANDIDATES / job.shapes.length)) };
      const shapes = candidatesOf(DecisionInput.parse(wide));
      candidates = Math.min(candidates, shapes.length);
      const seen = spread(shapes).map((shape, round) => observe(job, { ...shape, steps: 4 }, { round, cold: true }));
      return cpuMsOf(() => decideNext({ ...wide, observations: seen, phase: 'run' }));
    }),
  );
  return { candidates, cpuMs };
}

/** The same of the open door, on 600 options of four settings. */
export function suggestionTimes(count: number): number[] {
  const dimensions = {
    workers: [1, 2, 4, 8, 16, 32, 48, 64, 96, 128],
    vcpus: [1, 2, 4, 8, 16],
    disk: ['hdd', 'ssd', 'nvme'],
    cacheMib: [64, 256, 1_024, 4_096],
  };
  const optimizer = createOptimizer({
    space: { dimensions, workers: 'workers', vcpus: 'vcpus' },
    goal: { minimize: 'cost', deadlineMs: 60_000 },
    seed: 1,
    maxProbes: 30,
  });
  const options = dimensions.workers.flatMap((workers) =>
    dimensions.vcpus.flatMap((vcpus) =>
      dimensions.disk.flatMap((disk) => dimensions.cacheMib.map((cacheMib) => ({ workers, vcpus, disk, cacheMib }))),
    ),
  );
  return Array.from({ length: count }, (_, i) => {
    const trials = spread(options).map((allocation, k): Trial => {
      const timeMs = (5_000 + 900_000 / (allocation.workers * allocation.vcpus ** 0.7)) * (1 + 0.1 * Math.sin(k + i));
      return { allocation, timeMs, costUsd: 1e-6 * timeMs * allocation.workers * allocation.vcpus };
    });
    return cpuMsOf(() => void optimizer.suggest(trials));
  });
}
