import fc from 'fast-check';
import { simulateRun, type SimulatedRun } from '../../scheduler/simulator';
import { EventHeap } from '../../scheduler/simulator/event-heap';
import { SharedLink } from '../../scheduler/simulator/shared-link';
import { anyFaults, expectInvariants } from './invariants';
import { always, simulation } from './simulated-job';

const digestOf = ({ invocations, ...rest }: SimulatedRun) => JSON.stringify([rest, invocations.list()]);

describe('a simulated run', () => {
  it('charges every invocation once, merges every sample of every step once, and keeps the time limit, whatever goes wrong', () => {
    fc.assert(
      fc.property(
        anyFaults,
        fc.integer({ min: 1, max: 40 }),
        fc.constantFrom(7, 60, 200),
        fc.integer({ min: 1, max: 1e6 }),
        (wrong, workers, steps, seed) => {
          const options = simulation({ faults: wrong, policy: always(workers, 1_024, steps), seed });
          expectInvariants(simulateRun(options), options);
        },
      ),
      { numRuns: 25, seed: 5 },
    );
  });

  it('has the same bits for the same seed, and others for another', () => {
    const wrong = { computeSd: 0.1, stragglers: 0.02, crashesPerHour: 5, throttled: 0.1, slowStorePerHour: 10, slowStoreFactor: 2, coldStartSd: 0.5 };
    const once = digestOf(simulateRun(simulation({ faults: wrong, job: { probes: 2, totalSteps: 40 } })));
    expect(digestOf(simulateRun(simulation({ faults: wrong, job: { probes: 2, totalSteps: 40 } })))).toBe(once);
    expect(digestOf(simulateRun(simulation({ faults: wrong, job: { probes: 2, totalSteps: 40 }, seed: 2 })))).not.toBe(once);
  });

  it('gives a worker’s step the same luck under every plan', () => {
    const wrong = { computeSd: 0.3 };
    const stepOf = (steps: number) => simulateRun(simulation({ faults: wrong, policy: always(1, 1_769, steps) })).counts.computeMs;
    expect(stepOf(10)).toBeCloseTo(stepOf(50), 3);
  });

  it('takes, where nothing varies, what arithmetic says', () => {
    const { world } = simulation();
    const one = simulateRun(simulation({ policy: always(1, 1_769, 200) }));
    expect(one.rounds[0]!.stepMs).toBeCloseTo(1_024 * 15 + 5, 6);
    // Two workers: half the batch each; then three phases, all of which Redis can serve at the workers' own 75 MB/s.
    const two = simulateRun(simulation({ policy: always(2, 1_769, 200) }));
    const { phases } = simulation().phases(2);
    const exchangeMs = phases.reduce((sum, { bytes, latencyMs }) => sum + latencyMs + Math.max(...bytes) / world.exchange.workerBytesPerMs, 0);
    expect(two.rounds[0]!.stepMs).toBeCloseTo(512 * 15 + 5 + exchangeMs, 3);
    // 40 workers want three times what the store has.
    const slow = simulation({ policy: always(40, 1_769, 200), world: { exchange: { ...world.exchange, storeBytesPerMs: 1e6 } } });
    const many = simulateRun(slow);
    const atStoreMs = slow.phases(40).phases.reduce((sum, { bytes }) => sum + bytes.reduce((a, b) => a + b, 0) / 1e6, 0);
    const computeMs = (Math.ceil(64 / 40) / 64) * 1_024 * 15 + 5;
    expect(many.rounds[0]!.stepMs).toBeGreaterThan(computeMs + 0.8 * atStoreMs);
    expect(many.rounds[0]!.stepMs).toBeLessThan(computeMs + atStoreMs + 100);
  });

  it('lets the scheduler itself choose, meet a deadline at low cost, and answer to a machine that becomes slower', () => {
    const goal = { minimize: 'cost', deadlineMs: 15 * 60_000 } as const;
    const wrong = { computeSd: 0.05, stragglers: 0.005 };
    const calm = simulateRun(simulation({ job: { goal, probes: 3 }, faults: wrong }));
    expect(calm.outcome).toBe('completed');
    expect(calm.deadlineMarginMs).toBeGreaterThan(0);
    const changes = [{ atMs: 4 * 60_000, compute: 1.5 }];
    const shaken = simulateRun(simulation({ job: { goal, probes: 3 }, faults: wrong, world: { changes } }));
    expect(shaken.outcome).toBe('completed');
    expect(shaken.deadlineMarginMs).toBeGreaterThan(0);
    const answers = shaken.rounds.filter(({ reason }) => reason.includes('since round'));
    expect(answers.length).toBeGreaterThan(0);
    for (const { workers } of answers) expect(workers).toBeGreaterThan(calm.rounds.at(-1)!.workers);
  });

  it('leaves a size that runs out of memory, ends at its deadline, and before its budget', () => {
    const { world } = simulation();
    const work = { ...world.work, peakMemoryMib: 2_000 };
    const grown = simulateRun(simulation({ world: { work }, job: { totalSteps: 50 } }));
    expect(grown.rounds[0]!.trouble).toBe('outOfMemory');
    expect(grown.rounds.at(-1)!.memoryMib).toBeGreaterThan(2_000);
    expect(grown.outcome).toBe('completed');
    const late = simulateRun(simulation({ policy: undefined, job: { goal: { minimize: 'cost', deadlineMs: 60_000 }, totalSteps: 100_000 } }));
    expect(['deadlineReached', 'infeasibleGoal']).toContain(late.outcome);
    expect(late.timeMs).toBeLessThan(62_000);
    const poor = simulateRun(simulation({ job: { goal: { minimize: 'time', budgetUsd: 0.02 }, totalSteps: 100_000 } }));
    expect(['budgetExhausted', 'infeasibleGoal']).toContain(poor.outcome);
    expect(poor.costNanoUsd.total - poor.costNanoUsd.exchange).toBeLessThanOrEqual(0.02e9);
  });

  it('keeps its budget when a machine becomes fifty times slower in the middle of a round', () => {
    const { world } = simulation();
    const job = { goal: { minimize: 'time', budgetUsd: 0.02 }, totalSteps: 400 } as const;
    const changes = [{ atMs: 20_000, compute: 50 }];
    const run = simulateRun(simulation({ policy: undefined, job, world: { ...world, changes } }));
    expect(run.rounds.some(({ trouble }) => trouble === 'spent')).toBe(true);
    expect(['budgetExhausted', 'infeasibleGoal']).toContain(run.outcome);
    expect(run.costNanoUsd.total - run.costNanoUsd.exchange).toBeLessThanOrEqual(0.02e9);
  });

  it('writes down a crash’s lost work and pays for it', () => {
    const calm = simulateRun(simulation({ policy: always(8, 1_769, 100) }));
    const crashing = simulateRun(simulation({ policy: always(8, 1_769, 100), faults: { crashesPerHour: 20 } }));
    expect(crashing.counts.crashes).toBeGreaterThan(3);
    expect(crashing.counts.lostMs).toBeGreaterThan(0);
    expect(crashing.timeMs).toBeGreaterThan(calm.timeMs);
    expect(crashing.invocations.count).toBe(calm.invocations.count + crashing.counts.crashes + crashing.counts.restarts - calm.counts.restarts);
  });
});

describe('its parts', () => {
  it('pops events in the order of their times', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1e9, noNaN: true }), { maxLength: 3_000 }), (times) => {
        const heap = new EventHeap();
        times.forEach((timeMs, i) => heap.push(timeMs, i, i));
        const popped = times.map(() => times[heap.pop()]!);
        expect(popped).toEqual([...times].sort((a, b) => a - b));
        expect(heap.nextMs).toBe(Infinity);
      }),
      { numRuns: 30, seed: 3 },
    );
  });

  it('shares a store’s bandwidth as a fine-grained integration does', () => {
    const transfer = fc.record({
      startMs: fc.integer({ min: 0, max: 50 }),
      bytes: fc.integer({ min: 100, max: 5_000 }),
      own: fc.integer({ min: 20, max: 100 }),
    });
    fc.assert(
      fc.property(fc.array(transfer, { minLength: 1, maxLength: 12 }), (transfers) => {
        const total = 150;
        const link = new SharedLink(Float64Array.from(transfers, ({ own }) => own), total); // prettier-ignore
        const ends = new Array<number>(transfers.length);
        const starts = transfers.map((each, worker) => ({ ...each, worker })).sort((a, b) => a.startMs - b.startMs);
        for (let next = 0; next < starts.length || link.nextMs < Infinity;) {
          const start = starts[next];
          if (start && start.startMs <= link.nextMs) {
            link.start(start.worker, start.bytes, start.startMs);
            next += 1;
          } else {
            const atMs = link.nextMs;
            ends[link.pop(atMs)] = atMs;
          }
        }
        const tickMs = 0.05;
        const left = transfers.map(({ bytes }) => bytes);
        for (let tick = 0; left.some((bytes) => bytes > 0); tick += 1) {
          const running = transfers.map(({ startMs }, i) => startMs <= tick * tickMs && left[i]! > 0);
          const asked = transfers.reduce((sum, { own }, i) => sum + (running[i] ? own : 0), 0);
          for (const [i, { own }] of transfers.entries()) {
            if (!running[i]) continue;
            left[i]! -= own * Math.min(1, total / asked) * tickMs;
            if (left[i]! <= 0) expect(Math.abs(ends[i]! - (tick + 1) * tickMs)).toBeLessThan(0.5);
          }
        }
      }),
      { numRuns: 15, seed: 7 },
    );
  });
});
