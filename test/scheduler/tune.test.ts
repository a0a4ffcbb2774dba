import fc from 'fast-check';
import type { SearchRange } from '../../contracts/job';
import { medianPrune, suggestTrial, withParameters, type PastTrial } from '../../scheduler';

type Values = Record<string, number | string | boolean>;

function search(
  parameters: Record<string, SearchRange>,
  loss: (values: Values) => number,
  options: { seed: number; sampler: 'tpe' | 'random'; trials: number },
) {
  const history: PastTrial[] = [];
  for (let index = 1; index < options.trials; index += 1) {
    const params = suggestTrial({ parameters, history, index, minimize: true, ...options });
    history.push({ params, value: loss(params), state: 'complete' });
  }
  return Math.min(...history.map((trial) => trial.value!));
}
const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!;
const seeds = Array.from({ length: 30 }, (_, seed) => seed + 1);

const rate: Record<string, SearchRange> = { 'training.optimizer.learningRate': { logUniform: [1e-5, 1] } };
const rateLoss = (values: Values) => (Math.log10(values['training.optimizer.learningRate'] as number) + 2.7) ** 2;
const two: Record<string, SearchRange> = { 'training.optimizer.learningRate': { logUniform: [1e-5, 1] }, 'training.clipNorm': { uniform: [0, 10] } };
const twoLoss = (values: Values) => rateLoss(values) + ((values['training.clipNorm'] as number) / 10 - 0.2) ** 2 * 10;
const mixed: Record<string, SearchRange> = {
  ...rate,
  'training.batchSize': { choice: [32, 64, 128, 256, 512, 1_024] },
  'training.steps': { integer: [1, 50] },
};
const mixedLoss = (values: Values) =>
  rateLoss(values) + (values['training.batchSize'] === 128 ? 0 : 1) + Math.abs((values['training.steps'] as number) - 33) / 20;

describe('suggestTrial', () => {
  it.each([
    ['one rate', rate, rateLoss, 20],
    ['two parameters', two, twoLoss, 30],
    ['a rate, a choice and a whole number', mixed, mixedLoss, 40],
  ])('finds the best of %s better than chance does', (_what, parameters, loss, trials) => {
    const tpe = seeds.map((seed) => search(parameters, loss, { seed, sampler: 'tpe', trials }));
    const random = seeds.map((seed) => search(parameters, loss, { seed, sampler: 'random', trials }));
    expect(median(tpe)).toBeLessThan(0.5 * median(random));
    expect(tpe.filter((value, i) => value < random[i]!).length).toBeGreaterThan(18);
  });

  it('spreads its first trials: four of them never lie in one half of the range', () => {
    for (const seed of seeds) {
      const units = [1, 2, 3, 4].map((index) => {
        const values = suggestTrial({ parameters: { x: { uniform: [0, 1] } } as never, history: [], seed, index, sampler: 'tpe', minimize: true });
        return values['x'] as number;
      });
      expect(Math.min(...units)).toBeLessThan(0.5);
      expect(Math.max(...units)).toBeGreaterThan(0.5);
    }
  });

  it('stays inside every range and repeats itself for the same seed, index and history', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        fc.integer({ min: 1, max: 500 }),
        fc.constantFrom('tpe' as const, 'random' as const),
        fc.integer({ min: 0, max: 30 }),
        (seed, index, sampler, length) => {
          const history = Array.from({ length }, (_, i): PastTrial => {
            const params = suggestTrial({ parameters: mixed, history: [], seed: seed + 1, index: i, sampler: 'random', minimize: true });
            return { params, value: i % 5 === 4 ? null : mixedLoss(params), state: i % 5 === 4 ? 'failed' : i % 5 === 3 ? 'pruned' : 'complete' };
          });
          const request = { parameters: mixed, history, seed, index, sampler, minimize: false };
          const values = suggestTrial(request);
          expect(suggestTrial(structuredClone(request))).toEqual(values);
          const learningRate = values['training.optimizer.learningRate'] as number;
          expect(learningRate).toBeGreaterThanOrEqual(1e-5);
          expect(learningRate).toBeLessThanOrEqual(1);
          expect([32, 64, 128, 256, 512, 1_024]).toContain(values['training.batchSize']);
          expect(Number.isInteger(values['training.steps'])).toBe(true);
          expect(values['training.steps']).toBeGreaterThanOrEqual(1);
          expect(values['training.steps']).toBeLessThanOrEqual(50);
        },
      ),
      { numRuns: 200, seed: 3 },
    );
  });

  it('gives trials that run at once different values', () => {
    const history: PastTrial[] = [];
    for (let index = 1; index <= 12; index += 1) {
      const params = suggestTrial({ parameters: rate, history, seed: 5, index, sampler: 'tpe', minimize: true });
      history.push({ params, value: index <= 8 ? rateLoss(params) : null, state: index <= 8 ? 'complete' : 'running' });
    }
    expect(new Set(history.map((trial) => trial.params['training.optimizer.learningRate'])).size).toBe(12);
  });

  it('learns from values outside the range, such as the job’s own', () => {
    const history = Array.from({ length: 12 }, (): PastTrial => ({ params: { 'training.optimizer.learningRate': 5 }, value: 1, state: 'complete' }));
    const { 'training.optimizer.learningRate': learningRate } = suggestTrial({
      parameters: rate,
      history,
      seed: 1,
      index: 13,
      sampler: 'tpe',
      minimize: true,
    });
    expect(learningRate as number).toBeLessThanOrEqual(1);
  });

  it('maximises where larger is better', () => {
    const history: PastTrial[] = [];
    for (let index = 1; index < 25; index += 1) {
      const params = suggestTrial({ parameters: rate, history, seed: 2, index, sampler: 'tpe', minimize: false, trials: 25 });
      history.push({ params, value: -rateLoss(params), state: 'complete' });
    }
    expect(Math.max(...history.map((trial) => trial.value!))).toBeGreaterThan(-0.05);
  });
});

describe('medianPrune', () => {
  it('prunes the worse half of a rung and keeps the better', () => {
    const values = [0.1, 0.2, 0.3, 0.4, 0.5];
    const pruned = values.map((value, i) => medianPrune({ value, others: values.filter((_, j) => j !== i), step: 10 }));
    expect(pruned).toEqual([false, false, false, true, true]);
  });
  it('keeps the larger values where larger is better', () => {
    expect(medianPrune({ value: 0.9, others: [0.5, 0.6], step: 10, minimize: false })).toBe(false);
    expect(medianPrune({ value: 0.4, others: [0.5, 0.6], step: 10, minimize: false })).toBe(true);
  });
  it('prunes nothing before two others have reached the rung, nor before the first step', () => {
    expect(medianPrune({ value: 9, others: [1], step: 10 })).toBe(false);
    expect(medianPrune({ value: 9, others: [1, 2, 3], step: 0 })).toBe(false);
  });
  it('prunes what is not a number', () => {
    expect(medianPrune({ value: NaN, others: [], step: 1 })).toBe(true);
  });
});

describe('withParameters', () => {
  const job = { name: 'a', training: { batchSize: 256, optimizer: { kind: 'adam', learningRate: 0.002 } } };
  it('changes the values at their paths and leaves the given job alone', () => {
    const before = structuredClone(job);
    const changed = withParameters(job, { 'training.optimizer.learningRate': 0.01, 'training.batchSize': 64 });
    expect(changed).toEqual({ name: 'a', training: { batchSize: 64, optimizer: { kind: 'adam', learningRate: 0.01 } } });
    expect(job).toEqual(before);
  });
  it('adds an optional last field', () => {
    expect(withParameters(job, { 'training.clipNorm': 1 }).training).toHaveProperty('clipNorm', 1);
  });
  it.each(['training.optimiser.learningRate', 'training.batchSize.x', 'training.__proto__', 'training.__proto__.polluted', 'training.'])(
    'refuses %s, which leads nowhere',
    (path) => {
      expect(() => withParameters(job, { [path]: 1 })).toThrow(/tune.parameters/);
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    },
  );
});
