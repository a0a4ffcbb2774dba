import type { Allocation } from '../../contracts/round';
import type { DecisionRequest, ObservationInput } from '../../contracts/scheduling';
import { decideNext } from '../../scheduler';
import { syncTerms, SYNC_WEIGHTS } from '../../scheduler/model/traffic';
import { digits, playRound, type Truth } from './machine';

/** Two programs on one machine: its functions compute half as fast as counted, its Redis is three times as slow as usual. */
const small = { ...digits().program, paramCount: 40_000, forwardFlopsPerSample: 800_000 };
const large = { ...small, paramCount: 4_000_000, forwardFlopsPerSample: 8_000_000 };
const [LANES, BATCH] = [64, 512];
const truthOf = ({ paramCount, forwardFlopsPerSample }: typeof small): Truth => ({
  computeMs: ({ workers }) => 2 * ((BATCH / LANES) * Math.ceil(LANES / workers) * ((3 * forwardFlopsPerSample) / 12e6)),
  syncMs: ({ workers }) => {
    const exchanged = { exchange: 'redis', topology: 'scatter-reduce', lanes: LANES, paramCount, bufferCount: 0 } as const;
    return (
      3 *
      syncTerms({ ...exchanged, groups: undefined, compression: undefined }, workers, 1).reduce((sum, term, i) => sum + term * SYNC_WEIGHTS[i]!, 0)
    );
  },
  noise: 0.03,
  peakRssMib: 165,
});
const seen = [2, 4, 8, 16].map((workers, round) =>
  playRound({ workers, memoryMib: 1_769, steps: 8 }, truthOf(small), { round, seed: 1, cold: round === 0 }),
);
const fresh: DecisionRequest = {
  ...digits(),
  phase: 'profile',
  goal: { minimize: 'time' },
  program: large,
  batchSize: BATCH,
  lanes: LANES,
  exchange: 'redis',
  bounds: { ...digits().bounds, minWorkers: 8, maxWorkers: 8, memoryMib: 1_769, concurrency: 100, totalCores: Infinity },
};
const relative = (observations: ObservationInput[]) => ({
  ...{ programDigest: 'another-program', program: small, batchSize: BATCH, lanes: LANES, topology: 'scatter-reduce' as const },
  observations,
});

/** How far a first look's predicted step is from the truth: logarithm of the ratio. */
function errorOf(request: DecisionRequest): number {
  const decision = decideNext(request);
  if (decision.kind !== 'probe') throw new Error(decision.reason);
  const truth = truthOf(large);
  const at: Allocation = decision.allocation;
  return Math.abs(Math.log(decision.prediction.stepMs / (truth.computeMs(at) + truth.syncMs(at))));
}

describe('what runs of other programs saw in the same place', () => {
  it('carries over by bytes, requests and operations: the first look at a model of a hundred times the size is timed within 40 %, where a guess is off by 2', () => {
    expect(errorOf(fresh)).toBeGreaterThan(Math.log(2));
    expect(errorOf({ ...fresh, related: [relative(seen)] })).toBeLessThan(0.35);
    // As they are, another program's times would mislead more than nothing does.
    expect(errorOf({ ...fresh, earlier: seen })).toBeGreaterThan(1);
  });

  it('compares a measured gradient with a measured one, and a count with a count', () => {
    const measured = { ...small, gradientMsPerSample: 0.4 };
    const related = [{ ...relative(seen), program: measured }];
    expect(errorOf({ ...fresh, related })).toBeLessThan(0.35);
    expect(errorOf({ ...fresh, related, program: { ...large, gradientMsPerSample: 4 } })).toBeLessThan(0.35);
  });

  it('is said, and is no reason not to look', () => {
    const decision = decideNext({ ...fresh, related: [relative(seen)] });
    expect(decision.kind).toBe('probe');
    expect(decision.reason).toContain('by the size of the model and the batch and what runs of other programs saw here it should do best');
  });

  it('is overruled by one look at this run', () => {
    const faster: Truth = { ...truthOf(large), computeMs: (a) => truthOf(large).computeMs(a) / 4, syncMs: (a) => truthOf(large).syncMs(a) / 4 };
    const now = playRound({ workers: 8, memoryMib: 1_769, steps: 20 }, faster, { round: 0, seed: 1, cold: false });
    const decision = decideNext({ ...fresh, phase: 'run', related: [relative(seen)], observations: [now], current: now.allocation });
    if (decision.kind !== 'run') throw new Error(decision.reason);
    expect(decision.prediction.stepMs / now.stepMs).toBeLessThan(1.3);
  });
});
