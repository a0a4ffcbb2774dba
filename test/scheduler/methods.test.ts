import fc from 'fast-check';
import { parseJob } from '../../contracts/job';
import { LossyMethod } from '../../contracts/lossy-methods';
import type { DecisionRequest, Observation } from '../../contracts/scheduling';
import { chooseMethod, decideNext } from '../../scheduler';
import { withCompression } from '../../scheduler/methods';
import { fitPerformance } from '../../scheduler/model/performance';
import { trafficOf } from '../../scheduler/model/traffic';
import type { Workload } from '../../scheduler/model/workload';
import { digits } from './machine';

const method = (given: object) => LossyMethod.parse(given);
const bf16 = method({ kind: 'bf16' });

const WORKERS = 8;
const workload: Workload = {
  ...{ paramCount: 10_000_000, bufferCount: 0, batchSize: 256, lanes: 16, sampleMs: 5, parallelShare: 0.01, totalCores: Infinity },
  ...{ exchange: 'redis', topology: 'scatter-reduce' },
};

/** A round without compression on a network of so many bytes a millisecond: what its bytes take, and nothing else, is synchronisation. */
function seenAt(bytesPerMs: number, workers = WORKERS): Observation {
  const computeMs = 200;
  const syncMs = trafficOf(workload, workers).busiestBytes / bytesPerMs;
  const stepMs = computeMs + syncMs;
  return {
    allocation: { workers, memoryMib: 1_769, steps: 8 },
    ...{ round: 0, batchSize: 256, compression: null, steps: 8, wallMs: 8 * stepMs + 100, stepMs, initMs: 0, orchestrationMs: 60, merged: 1 },
    parts: { computeMs, uploadMs: syncMs / 2, waitMs: 0, downloadMs: syncMs / 2, reduceMs: 0, otherMs: 0 },
    ...{ billedNanoUsd: 8 * workers * stepMs * 28.8, peakRssMib: 500, cold: false, failures: { outOfMemory: 0, timedOut: 0 } },
  };
}

const ask = (observations: readonly Observation[], change: Partial<DecisionRequest> = {}): DecisionRequest =>
  digits({
    goal: { minimize: 'time' },
    program: { paramCount: workload.paramCount, bufferCount: 0, peakMemoryMib: 500, forwardFlopsPerSample: 1e7 },
    ...{ lanes: 16, batchSize: 256, remainingSteps: 2_000, exchange: 'redis', observations: [...observations], phase: 'run' },
    bounds: {
      minWorkers: WORKERS,
      maxWorkers: WORKERS,
      memoryMib: 1_769,
      minMemoryMib: 128,
      maxMemoryMib: 10_240,
      concurrency: 1_000,
      totalCores: Infinity,
    },
    ...change,
  });
const offer = (request: DecisionRequest, ...methods: LossyMethod[]) =>
  methods.map((each) => ({ method: each, request: withCompression(request, each) }));
const chosen = (request: DecisionRequest, ...methods: LossyMethod[]) => chooseMethod(request, offer(request, ...methods));

describe('the choice of a lossy method', () => {
  it('follows the bandwidth: bf16 where bytes are what a step waits for, nothing where they are not', () => {
    const slow = chosen(ask([seenAt(20_000)]), bf16);
    expect(slow.method).toEqual(bf16);
    expect(slow.reason).toMatch(
      /^Gradients in bf16: 8 workers of 1,769 MiB exchange \d+ MB a step instead of \d+ MB: .* less and \$.* less to the end\.$/,
    );

    const fast = chosen(ask([seenAt(4_000_000)]), bf16);
    expect(fast.method).toBeUndefined();
    expect(fast.reason).toMatch(/^Gradients stay as they are: bf16 would/);
  });

  it('is made once as the bandwidth rises, and not to and fro', () => {
    const choices = [10, 20, 40, 80, 160, 320, 640, 1_280].map((bytesPerUs) => chosen(ask([seenAt(1_000 * bytesPerUs)]), bf16).method !== undefined);
    expect(choices).toEqual([...choices].sort((a, b) => Number(b) - Number(a)));
    expect(new Set(choices).size).toBe(2);
  });

  it('takes the method whose bytes and CPU together are least, and weighs the steps that it is reckoned to lose', () => {
    const request = ask([seenAt(4_000)]);
    const qsgd = method({ kind: 'qsgd', bits: 4 });
    expect(chosen(request, bf16, qsgd).method).toEqual(qsgd);
    const dear = method({ kind: 'qsgd', bits: 4, stepsFactor: 2 });
    expect(chosen(request, bf16, dear).method).toEqual(bf16);
    // 41 ms a million elements for each of its roundings: the network would have to be slower still.
    expect(chosen(ask([seenAt(60_000)]), method({ kind: 'fp16' })).method).toBeUndefined();
  });

  it('is a method where only a method keeps the deadline, however small its gain', () => {
    const request = ask([seenAt(20_000), seenAt(20_000)]);
    const plain = decideNext(request);
    const halved = decideNext(withCompression(request, bf16));
    if (plain.kind !== 'run' || halved.kind !== 'run') throw new Error(plain.reason);
    const between = (plain.prediction.remainingMs.p50 + halved.prediction.remainingMs.p50) / 2;
    const goal = { minimize: 'cost' as const, deadlineAtMs: request.nowMs + between };
    const choice = chosen({ ...request, goal }, method({ kind: 'bf16', stepsFactor: 1 }));
    expect(choice.method?.kind).toBe('bf16');
    expect(choice.reason).toMatch(/the goal is kept with a chance of \d+ % instead of \d+ %/);
  });

  it('never takes a method that would not gain its margin by its own prediction', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 2_000 }), fc.constantFrom('bf16', 'fp16', 'qsgd', 'top-k'), (bytesPerUs, kind) => {
        const request = ask([seenAt(1_000 * bytesPerUs)]);
        const one = method({ kind });
        if (chosen(request, one).method === undefined) return;
        const [without, with_] = [decideNext(request), decideNext(withCompression(request, one))];
        if (without.kind !== 'run' || with_.kind !== 'run') throw new Error('expected plans');
        expect(with_.prediction.remainingMs.p50).toBeLessThan(0.9 * without.prediction.remainingMs.p50);
      }),
      { numRuns: 30, seed: 5 },
    );
  });
});

describe('what was seen without compression', () => {
  it('tells of a step with it by what it moves, and the other way round', () => {
    const bytesPerMs = 20_000;
    const compressed: Workload = { ...workload, compression: { kind: 'bf16' } };
    const shape = { workers: WORKERS, memoryMib: 1_769 };
    const share = trafficOf(compressed, WORKERS).busiestBytes / trafficOf(workload, WORKERS).busiestBytes;
    const plain = fitPerformance(workload, [seenAt(bytesPerMs)])(shape);
    const carried = fitPerformance(compressed, [seenAt(bytesPerMs)])(shape);
    expect(carried.syncMs / plain.syncMs).toBeCloseTo(share, 1);
    // 2 lanes a worker: 10 million elements rounded four times, encoded and decoded.
    expect(carried.computeMs - plain.computeMs).toBeCloseTo(10 * (4 * 2.7 + 2.6), 3);
    const back = fitPerformance(workload, [{ ...seenAt(bytesPerMs), compression: { kind: 'bf16' } }])(shape);
    expect(back.syncMs).toBeGreaterThan(plain.syncMs);
    expect(back.computeMs).toBeLessThan(plain.computeMs);
  });
});

describe('synchronization.allow', () => {
  const job = (synchronization: object) =>
    parseJob({
      ...{ name: 'allowed', data: { train: 'file:///data' }, model: { layers: [{ dense: 2 }] }, loss: 'softmax-cross-entropy' },
      ...{ training: { steps: 5, batchSize: 16, optimizer: { kind: 'sgd', learningRate: 0.1 } }, synchronization },
    });

  it('takes kinds, and objects with settings, and reads what it has made again', () => {
    const { synchronization } = job({ allow: ['bf16', { kind: 'qsgd', bits: 4, stepsFactor: 1.1 }, 'top-k'] });
    expect(synchronization.allow).toEqual([{ kind: 'bf16' }, { kind: 'qsgd', bits: 4, stepsFactor: 1.1 }, { kind: 'top-k', density: 0.01 }]);
    expect(job(synchronization).synchronization).toEqual(synchronization);
  });

  it.each([
    [{ allow: ['bf16'], compression: { kind: 'bf16' } }, /compression fixes the method .*: leave one of them out/],
    [{ allow: [] }, /expected at least one method/],
    [{ allow: ['significance'] }, /unknown method significance; expected bf16, fp16, qsgd, top-k/],
    [{ allow: [{ kind: 'significance' }] }, /what significance sends follows from values/],
    [{ allow: [{ kind: 'qsgd', bits: 3 }] }, /expected 4 or 8/],
    [{ allow: [{ kind: 'bf16', stepsFactor: 0.5 }] }, /expected at least 1/],
  ])('refuses %j', (synchronization, words) => {
    expect(() => job(synchronization)).toThrow(words);
  });
});
