import fc from 'fast-check';
import {
  baselinePhases,
  baselines,
  exchanges,
  fixed,
  machineNetwork,
  machineTypes,
  machineWorkers,
  redisNodes,
  redisNodesFor,
  scaleIn,
  simulateRun,
  siren,
  smltSearch,
  type SimulationOptions,
} from '../../scheduler/simulator';
import { anyFaults, expectInvariants } from './invariants';
import { simulation } from './simulated-job';

const workers = [1, 2, 4, 8, 16];
const memoriesMib = [1_024, 1_769];
const most = { workers: 16, memoryMib: 1_769 };
const lossAfter = (steps: number) => 0.1 + 1 / (1 + steps / 10);
const policies: Record<string, (seed: number) => NonNullable<SimulationOptions['policy']>> = {
  fixed: () => fixed({ workers: 7, memoryMib: 1_769 }, 30),
  'scale-in': () => scaleIn({ ...most, threshold: 0.05, roundSteps: 5, lossAfter }),
  siren: () => siren({ goal: { minimize: 'time', budgetUsd: 0.05 }, workers, memoriesMib, first: most, epochSteps: 5 }),
  smltSearch: (seed) => smltSearch({ goal: { minimize: 'cost' }, workers, memoriesMib, probeSteps: 2, roundSteps: 20, seed }),
};

describe('other systems in the simulator', () => {
  it('pay for every invocation once and merge every sample once, whatever exchange, policy and faults', () => {
    fc.assert(
      fc.property(
        anyFaults,
        fc.constantFrom(...baselines),
        fc.constantFrom(...Object.keys(policies)),
        fc.integer({ min: 1, max: 1e6 }),
        (faults, system, policy, seed) => {
          const world = system === 'ring' ? { workers: machineWorkers(machineTypes['m5.large']), exchange: machineNetwork } : {};
          const job = { totalSteps: 60, batches: { batchSize: 512, batchSchedule: [{ fromStep: 33, batchSize: 1_024 }] } };
          const options = simulation({ faults, world, job, policy: policies[policy]!(seed), seed });
          const phases = (count: number) => baselinePhases(system, 4e6, count, options.world.exchange);
          expectInvariants(simulateRun({ ...options, phases }), options);
        },
      ),
      { numRuns: 40, seed: 11 },
    );
  });

  it('scale in past the knee of the loss only, one worker a round, and never out', () => {
    const run = simulateRun(simulation({ policy: policies['scale-in']!(1), job: { totalSteps: 200 } }));
    const counts = run.rounds.map((round) => round.workers);
    expect(counts.slice(0, 3)).toEqual([16, 16, 16]);
    expect(counts.at(-1)).toBeLessThan(16);
    counts.forEach((count, i) => expect([0, 1]).toContain(i === 0 ? 0 : counts[i - 1]! - count));
  });

  it('choose every epoch what is left of the budget allows, faster where it is larger', () => {
    const within = (budgetUsd: number) => {
      const policy = siren({ goal: { minimize: 'time', budgetUsd }, workers, memoriesMib, first: most, epochSteps: 5 });
      return simulateRun(simulation({ policy, job: { totalSteps: 300 } }));
    };
    const [poor, rich] = [within(0.16), within(1)];
    expect(rich.timeMs).toBeLessThan(0.9 * poor.timeMs);
    expect(poor.costNanoUsd.total).toBeLessThan(rich.costNanoUsd.total);
  });

  it('search anew when the batch changes, five looks each time, and stay in between', () => {
    const batches = { batchSize: 512, batchSchedule: [{ fromStep: 100, batchSize: 1_024 }] };
    const run = simulateRun(simulation({ policy: policies['smltSearch']!(3), job: { batches } }));
    for (const size of [512, 1_024]) {
      const rounds = run.rounds.filter(({ batchSize }) => batchSize === size);
      expect(rounds.filter(({ kind }) => kind === 'probe')).toHaveLength(5);
      expect(new Set(rounds.slice(5).map((round) => `${round.workers} ${round.memoryMib}`)).size).toBe(1);
    }
  });

  it('wait for the busiest of several Redis nodes', () => {
    expect(redisNodes(1, 10)).toEqual(exchanges.redis);
    expect([1, 13, 14, 100].map(redisNodesFor)).toEqual([1, 1, 2, 8]);
    const eight = redisNodes(8, 100);
    expect(eight.storeBytesPerMs).toBeGreaterThan(4 * exchanges.redis.storeBytesPerMs);
    expect(eight.storeBytesPerMs).toBeLessThan(8 * exchanges.redis.storeBytesPerMs);
    expect(eight.usdPerHour).toBeCloseTo(8 * exchanges.redis.usdPerHour, 9);
  });
});
