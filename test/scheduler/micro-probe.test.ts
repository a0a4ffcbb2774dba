import fc from 'fast-check';
import type { DecisionRequest, MicroSample } from '../../contracts/scheduling';
import { decideNext, describeMicroProbe, planMicroProbe } from '../../scheduler';
import { digits, playRound, prices, twoCores } from './machine';

const SAMPLES = 16;
/** A sample's gradient takes 4 ms; a job of so many steps of 256 samples in a cloud. */
const jobOf = (steps: number, change: Partial<DecisionRequest> = {}): DecisionRequest => {
  const base = digits();
  return {
    ...base,
    phase: 'profile',
    goal: { minimize: 'time' },
    program: { ...base.program, gradientMsPerSample: 4 },
    bounds: { ...base.bounds, maxWorkers: 64, concurrency: 1_000, totalCores: Infinity },
    remainingSteps: steps,
    ...change,
  };
};
const HOUR_STEPS = 3_600;
/** What single functions would show, where this share of the work uses all vCPUs. */
const measured = (sampleMs: number, parallelShare: number): MicroSample[] =>
  [1_769, 3_538, 7_076].flatMap((memoryMib) =>
    [1, 2, 4].map((count) => {
      const vcpus = memoryMib / 1_769;
      return {
        memoryMib,
        samples: count * SAMPLES,
        computeMs: count * SAMPLES * sampleMs * (1 - parallelShare + parallelShare / vcpus),
        peakRssMib: 150,
      };
    }),
  );

describe('a micro-probe', () => {
  it('measures on one, two and four vCPUs where that is cheap beside the job, and on no more than its cores or its fixed memory', () => {
    expect(planMicroProbe(jobOf(100 * HOUR_STEPS), SAMPLES).sizesMib).toEqual([1_769, 3_538, 7_076]);
    const { bounds } = jobOf(1);
    expect(planMicroProbe(jobOf(100 * HOUR_STEPS, { bounds: { ...bounds, totalCores: 2 } }), SAMPLES).sizesMib).toEqual([1_769, 3_538]);
    expect(planMicroProbe(jobOf(100 * HOUR_STEPS, { bounds: { ...bounds, memoryMib: 3_000 } }), SAMPLES).sizesMib).toEqual([3_000]);
  });

  it('costs at most 0.5 % of the budget and of the work, and says what it would have taken', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 * HOUR_STEPS }), fc.double({ min: 0.001, max: 100, noNaN: true }), (steps, budgetUsd) => {
        const job = jobOf(steps, { wholeGoal: { minimize: 'time', budgetNanoUsd: budgetUsd * 1e9 } });
        const { sizesMib, reason } = planMicroProbe(job, SAMPLES);
        // Reading, a cold start and 22 gradients of 16 samples take 2.3 s.
        const gbSeconds = sizesMib.reduce((sum, memoryMib) => sum + (2.3 * memoryMib) / 1_024, 0);
        expect(gbSeconds * prices.usdPerGbSecond).toBeLessThanOrEqual(0.005 * budgetUsd);
        if (sizesMib.length === 0) expect(reason).toMatch(/^it would take 2\.3 s and \$0\.0000\d+, and may take .* and \$.* of a job like this$/);
      }),
      { numRuns: 40 },
    );
    expect(planMicroProbe(jobOf(20), SAMPLES).sizesMib).toEqual([]);
  });

  it('is not made where an earlier run of the program was seen', () => {
    const seen = playRound({ workers: 2, memoryMib: 1_769, steps: 8 }, twoCores, { round: 0, seed: 1, cold: false });
    expect(planMicroProbe(jobOf(100 * HOUR_STEPS, { earlier: [seen] }), SAMPLES)).toEqual({
      sizesMib: [],
      reason: 'an earlier run of this program has been seen here',
    });
  });

  it('is believed rather than what was counted: the first look is timed within a tenth', () => {
    const job = jobOf(10 * HOUR_STEPS);
    const withProbe = (sampleMs: number) => ({ ...job.program, microProbe: measured(sampleMs, 0), microProbeNote: 'Seen.' });
    const decision = decideNext({ ...job, program: withProbe(9), bounds: { ...job.bounds, maxWorkers: 1 } });
    if (decision.kind !== 'probe') throw new Error(decision.reason);
    expect(decision.prediction.stepMs / (256 * 9)).toBeGreaterThan(0.9);
    expect(decision.prediction.stepMs / (256 * 9)).toBeLessThan(1.1);
    expect(decision.reason).toMatch(/by what gradients took on single functions it should do best.*\. Seen\.$/);
  });

  it('buys vCPUs for a program that threads speed up, and none for one that they do not', () => {
    const job = jobOf(10 * HOUR_STEPS);
    const memoryFor = (parallelShare: number) => {
      const decision = decideNext({
        ...job,
        bounds: { ...job.bounds, maxWorkers: 4 },
        program: { ...job.program, microProbe: measured(4, parallelShare) },
      });
      return decision.kind === 'probe' ? decision.allocation.memoryMib : 0;
    };
    expect(memoryFor(0.95)).toBeGreaterThan(2 * 1_769);
    expect(memoryFor(0)).toBeLessThanOrEqual(1_769);
  });

  it('is told in one sentence', () => {
    expect(describeMicroProbe(measured(4, 0.5), 412_000)).toBe(
      'Single functions took 64 ms at 1,769 MiB, 48 ms at 3,538 MiB, 40 ms at 7,076 MiB for a gradient of 16 samples (micro-probe, $0.00041).',
    );
  });
});
