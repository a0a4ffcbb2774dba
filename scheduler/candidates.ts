import type { DecisionInput, ForbiddenShape } from '../contracts/scheduling';
import { KNEE_MEMORY_SHARE, MAX_VCPUS, MEMORY_GRID_MIB, MIB_PER_VCPU, SAFE_MEMORY_SHARE, WORKER_GRID } from './constants';
import { exchangesOf } from './exchanges';
import { laneUnitOf } from './lane-units';
import { parallelShareOf } from './model/threads';
import { estimatedMemoryMib, mostWorkers, workloadOf, type Shape } from './model/workload';

/** A program that threads speed up this much may use all the vCPUs there are. */
const MANY_THREADS_SHARE = 0.1;

/** Every shape that the bounds, the lanes, the cores and the memory already seen allow. May be empty. */
export function candidatesOf(input: DecisionInput): Shape[] {
  const { bounds, lanes, forbidden } = input;
  const most = mostWorkers(bounds, lanes, forbidden.workersAbove);
  const least = leastMemoryMib(input);
  const fewest = Math.min(bounds.minWorkers, most);
  const counts = new Set([fewest, ...WORKER_GRID.filter((n) => n >= fewest && n <= most), Math.max(0, most)]);
  // One thread a session: beyond one vCPU, memory only has to hold the program with room to spare.
  const threads = parallelShareOf(input.program) > MANY_THREADS_SHARE ? MAX_VCPUS : 1;
  const roomy = Math.max(threads * MIB_PER_VCPU, (least * SAFE_MEMORY_SHARE) / KNEE_MEMORY_SHARE);
  const sizes = memorySizes(input).filter((memoryMib) => memoryMib >= least);
  const useful = sizes.filter((memoryMib, i) => i === 0 || sizes[i - 1]! < roomy || memoryMib === input.current?.memoryMib);
  const workload = workloadOf(input);
  const shapes: Shape[] = [];
  for (const workers of [...counts].sort((a, b) => a - b)) {
    for (const memoryMib of useful) {
      if (workers < 1) continue;
      // Beyond the cores that exist, one more worker only waits for the others.
      const coresUsed = workers * Math.min(1, memoryMib / MIB_PER_VCPU);
      if (workers > fewest && coresUsed > bounds.totalCores + 1e-9) continue;
      for (const over of exchangesOf(input)) {
        const shape = { workers, memoryMib, ...over };
        if (forbidden.tooSlow?.some((slow) => isSmaller(shape, slow))) continue;
        const laneUnit = laneUnitOf(workload, shape);
        shapes.push(laneUnit === undefined ? shape : { ...shape, laneUnit });
      }
    }
  }
  const affordable = shapes.filter((shape) => !forbidden.tooDear?.some((dear) => isSame(shape, dear)));
  return affordable.length > 0 ? affordable : shapes;
}
const isSame = (shape: Shape, dear: ForbiddenShape): boolean =>
  shape.workers === dear.workers && shape.memoryMib === dear.memoryMib && (dear.exchange === undefined || shape.exchange === dear.exchange);

const isSmaller = (shape: Shape, slow: ForbiddenShape): boolean =>
  shape.workers <= slow.workers && shape.memoryMib <= slow.memoryMib && (slow.exchange === undefined || shape.exchange === slow.exchange);

function memorySizes({ bounds, current }: DecisionInput): number[] {
  if (bounds.memoryMib !== undefined) return [bounds.memoryMib];
  const sizes = new Set<number>([...MEMORY_GRID_MIB, bounds.minMemoryMib, bounds.maxMemoryMib, ...(current ? [current.memoryMib] : [])]);
  return [...sizes].filter((memoryMib) => memoryMib >= bounds.minMemoryMib && memoryMib <= bounds.maxMemoryMib).sort((a, b) => a - b);
}

/** What a function needs: measured where a round has shown it, estimated until then; never a size that ran out. */
export function leastMemoryMib({ program, observations, forbidden }: DecisionInput): number {
  const peaks = [...observations, ...(program.microProbe ?? [])];
  const peak = peaks.reduce((most, { peakRssMib }) => Math.max(most, peakRssMib), 0);
  const needed = (peak > 0 ? peak : estimatedMemoryMib(program.paramCount, program.peakMemoryMib)) / SAFE_MEMORY_SHARE;
  const ranOut = observations.reduce(
    (most, { failures, allocation }) => (failures.outOfMemory > 0 ? Math.max(most, allocation.memoryMib + 1) : most),
    forbidden.memoryMibBelow ?? 0,
  );
  return Math.max(needed, ranOut);
}
