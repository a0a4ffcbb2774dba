import fc from 'fast-check';
import type { Loss } from '../../contracts/loss';
import { addExact, roundExact } from '../../training/exact-sum';
import type { Target } from '../../training/losses/target';
import { measure, mergeSums, metricsOf } from '../../training/metrics';

/** Exactly, with fractions of whole numbers: every float64 is a whole number times 2^-1074. */
const exactly = (values: number[]) => {
  const bits = new DataView(new ArrayBuffer(8));
  return values.reduce((sum, value) => {
    bits.setFloat64(0, value);
    const raw = bits.getBigUint64(0);
    const exponent = (raw >> 52n) & 0x7ffn;
    const mantissa = (raw & 0xfffffffffffffn) + (exponent > 0n ? 1n << 52n : 0n);
    const whole = mantissa << (exponent > 0n ? exponent - 1n : 0n);
    return sum + (raw >> 63n ? -whole : whole);
  }, 0n);
};

describe('exact sums', () => {
  it('hold the sum without any rounding, whatever the numbers and their order', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e300, max: 1e300 })), (values) => {
        const parts: number[] = [];
        for (const value of values) addExact(parts, value);
        expect(exactly(parts)).toBe(exactly(values));
      }),
    );
  });
  it('are read as the nearest float64, half-way cases to even', () => {
    const sum = (...values: number[]) => {
      const parts: number[] = [];
      for (const value of values) addExact(parts, value);
      return roundExact(parts);
    };
    expect(sum()).toBe(0);
    expect(sum(1e100, 1, -1e100)).toBe(1);
    expect(sum(1, 2 ** -53)).toBe(1);
    expect(sum(1, 2 ** -53, 2 ** -106)).toBe(1 + 2 ** -52);
    expect(sum(1 + 2 ** -52, 2 ** -53, -(2 ** -106))).toBe(1 + 2 ** -52);
    expect(sum(...new Array<number>(10).fill(0.1))).toBe(1);
  });
});

/** Outputs as rows of one sample each. */
function measured(loss: Loss, target: Target, outputs: Float32Array, targets: Float32Array | Int32Array) {
  const samples = target.kind === 'class' ? targets.length : targets.length / target.width;
  const sums = measure({ loss, target, outputs, outputShape: [outputs.length / samples], targets });
  return { ...sums, metrics: () => metricsOf(sums, loss, target) };
}

describe('metrics', () => {
  it('of a classifier: accuracy, confusion by label and prediction, loss', () => {
    const outputs = Float32Array.of(2, 1, 0, /**/ 0, 0, 0, /**/ 0, 1, 3, /**/ -1, 5, 2);
    const sums = measured('softmax-cross-entropy', { kind: 'class', classes: 3 }, outputs, Int32Array.of(0, 1, 2, 1));
    expect(sums.confusion).toEqual([
      [1, 0, 0],
      [1, 1, 0],
      [0, 0, 1],
    ]);
    const rows = [
      [2, 1, 0, 0],
      [0, 0, 0, 1],
      [0, 1, 3, 2],
      [-1, 5, 2, 1],
    ] as const;
    const expected = rows.map(([a, b, c, label]) => -Math.log(Math.exp([a, b, c][label]!) / (Math.exp(a) + Math.exp(b) + Math.exp(c))));
    expect(sums.metrics()).toMatchObject({ accuracy: 0.75, loss: expect.closeTo(expected.reduce((a, b) => a + b) / 4, 14) });
  });
  it('of logits so large that exp would overflow: still finite', () => {
    const { lossSum } = measured('softmax-cross-entropy', { kind: 'class', classes: 2 }, Float32Array.of(3e4, -3e4), Int32Array.of(1));
    expect(lossSum).toBe(6e4);
    expect(measured('bce-with-logits', { kind: 'values', width: 1 }, Float32Array.of(-3e4), Float32Array.of(1)).lossSum).toBe(3e4);
  });
  it('of a yes-or-no model: accuracy and a confusion matrix of two', () => {
    const sums = measured('bce-with-logits', { kind: 'values', width: 1 }, Float32Array.of(1, -1, 2, -3), Float32Array.of(1, 1, 0, 0));
    expect(sums.confusion).toEqual([
      [1, 1],
      [1, 1],
    ]);
    const expected = [
      [1, 1],
      [-1, 1],
      [2, 0],
      [-3, 0],
    ].map(([x, t]) => -Math.log(t === 1 ? 1 / (1 + Math.exp(-x!)) : 1 - 1 / (1 + Math.exp(-x!))));
    expect(sums.metrics()).toMatchObject({ accuracy: 0.5, loss: expect.closeTo(expected.reduce((a, b) => a + b) / 4, 12) });
  });
  it('of a yes-or-no model that tells all samples apart: areas of exactly 1', () => {
    const samples = Array.from({ length: 301 }, (_, i) => ({ score: i + 1, label: i < 150 ? 0 : 1 }));
    const outputs = Float32Array.from(samples, ({ score }) => score / 100);
    const { metrics } = measured(
      'bce-with-logits',
      { kind: 'values', width: 1 },
      outputs,
      Float32Array.from(samples, ({ label }) => label),
    );
    expect(metrics()).toMatchObject({ 'roc-auc': 1, 'pr-auc': 1 });
  });
  it('of a regression: RMSE, MAE, R² and loss', () => {
    const sums = measured('mse', { kind: 'values', width: 1 }, Float32Array.of(1, 2, 3, 6), Float32Array.of(1, 3, 3, 4));
    const spread = [1, 3, 3, 4].reduce((sum, t) => sum + (t - 2.75) ** 2, 0);
    expect(sums.metrics()).toEqual({ loss: 1.25, rmse: Math.sqrt(1.25), mae: 0.75, r2: expect.closeTo(1 - 5 / spread, 14) });
  });
  it('leave R² out when all targets are equal', () => {
    expect(measured('mse', { kind: 'values', width: 1 }, Float32Array.of(1, 2), Float32Array.of(3, 3)).metrics()).not.toHaveProperty('r2');
  });
  it('refuse outputs that are not finite, naming the sample, and outputs of another width', () => {
    const target = { kind: 'class', classes: 2 } as const;
    expect(() => measured('softmax-cross-entropy', target, Float32Array.of(0, 0, 0, NaN), Int32Array.of(0, 1))).toThrow(
      expect.objectContaining({ code: 'Diverged', message: expect.stringContaining('output 1 of sample 1 is NaN') }),
    );
    const given = { loss: 'softmax-cross-entropy', target, outputs: new Float32Array(6), outputShape: [2], targets: Int32Array.of(0, 1) } as const;
    expect(() => measure(given)).toThrow(
      expect.objectContaining({ code: 'InvalidModel', message: expect.stringContaining('expected 2 outputs a sample') }),
    );
  });
  it('refuse to speak about no samples', () => {
    expect(() => metricsOf(mergeSums([]), 'mse', { kind: 'values', width: 1 })).toThrow(expect.objectContaining({ code: 'BadData' }));
  });
});
