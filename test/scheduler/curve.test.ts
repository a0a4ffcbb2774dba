import { EarlyStopping } from '../../contracts/validation';
import { forecastStep } from '../../scheduler/curve/forecast';
import { bestPoint, judgeCurve } from '../../scheduler/curve/judge';
import { bitsAt, streamOf } from '../../training/random';

const steps = (count: number) => Array.from({ length: count }, (_, i) => (i + 1) * 50);
const curve = (count: number, errorAt: (step: number) => number) => steps(count).map((step) => ({ step, error: errorAt(step) }));
const losses = (...values: number[]) =>
  values.map((value, i) => ({ step: (i + 1) * 10, track: 'train', round: i, values: { 'validation.loss': value }, kept: true }));
const accuracies = (...values: number[]) =>
  values.map((value, i) => ({ step: (i + 1) * 10, track: 'train', round: i, values: { 'validation.accuracy': value }, kept: true }));

describe('forecasts of a learning curve', () => {
  it('find the step of an inverse quadratic curve exactly', () => {
    const errorAt = (step: number) => 1 / (1e-6 * step ** 2 + 2e-3 * step + 0.5);
    const { step } = forecastStep(curve(8, errorAt), errorAt(1_200))!;
    expect(Math.abs(step - 1_200)).toBeLessThanOrEqual(2);
  });

  it('find the step of a power law by the second opinion', () => {
    const errorAt = (step: number) => 3 * step ** -0.6;
    const { secondOpinion } = forecastStep(curve(8, errorAt), errorAt(900))!;
    expect(Math.abs(secondOpinion - 900)).toBeLessThanOrEqual(2);
  });

  it('stay within a third of the truth under 2 % noise, from half of the run on', () => {
    const errorAt = (step: number) => 0.1 + 1 / (4e-3 * step + 0.4);
    const misses = Array.from({ length: 40 }, (_, seed) => {
      const stream = streamOf(7, seed);
      const noisy = steps(12).map((step, i) => ({ step, error: errorAt(step) * (1 + 0.02 * ((2 * bitsAt(stream, i)) / 2 ** 32 - 1)) }));
      return Math.abs(forecastStep(noisy, errorAt(1_000))!.step / 1_000 - 1);
    });
    expect(misses.filter((miss) => miss > 1 / 3).length).toBeLessThanOrEqual(8);
  });

  it('say never where a curve has levelled off', () => {
    const errorAt = (step: number) => 0.5 + 0.4 * Math.exp(-step / 60);
    expect(forecastStep(curve(12, errorAt), 0.1)!.step).toBe(Infinity);
  });

  it('say nothing by three points, and never a step that has passed', () => {
    expect(
      forecastStep(
        curve(3, (step) => 1 / step),
        0.001,
      ),
    ).toBeUndefined();
    const forecast = forecastStep(
      curve(6, (step) => 1 / step),
      0.5,
    )!;
    expect(forecast.step).toBeGreaterThanOrEqual(300);
  });
});

describe('the end of a track', () => {
  const patient = EarlyStopping.parse({ patience: 2, minDelta: 0.01 });

  it('comes when the target is reached, for losses from above and for accuracies from below', () => {
    const until = { metric: 'validation.loss', value: 0.4 } as const;
    expect(judgeCurve(losses(0.9, 0.41), { until }).kind).toBe('goOn');
    expect(judgeCurve(losses(0.9, 0.4), { until })).toEqual({
      kind: 'reached',
      note: 'validation.loss is 0.4 at step 20: the 0.4 that was asked for',
    });
    expect(judgeCurve(accuracies(0.9, 0.97), { until: { metric: 'validation.accuracy', value: 0.98 } }).kind).toBe('goOn');
    expect(judgeCurve(accuracies(0.9, 0.985), { until: { metric: 'validation.accuracy', value: 0.98 } }).kind).toBe('reached');
  });

  it('plans early with a wide margin and late with a small one', () => {
    const until = { metric: 'validation.loss', value: 0.05 } as const;
    const at = (count: number) =>
      judgeCurve(losses(...Array.from({ length: count }, (_, i) => 1 / (1 + i + 1))), { until }) as { kind: 'goOn'; plannedStep: number };
    // 1 / (1 + step / 10) is 0.05 at step 190.
    expect(at(5).plannedStep).toBeGreaterThan(250);
    expect(at(5).plannedStep).toBeLessThan(320);
    expect(at(15).plannedStep).toBeGreaterThanOrEqual(190);
    expect(at(15).plannedStep).toBeLessThan(225);
  });

  it('comes when patience ends, and an improvement below minDelta is none', () => {
    expect(judgeCurve(losses(0.5, 0.4, 0.395), { earlyStopping: patient }).kind).toBe('goOn');
    const verdict = judgeCurve(losses(0.5, 0.4, 0.395, 0.395), { earlyStopping: patient });
    expect(verdict.kind).toBe('stalled');
    expect(verdict.note).toContain('0.4 at step 20 is the best');
  });

  it('waits anew after each improvement', () => {
    expect(judgeCurve(losses(0.5, 0.6, 0.4, 0.45), { earlyStopping: patient }).kind).toBe('goOn');
    expect(bestPoint(losses(0.5, 0.6, 0.4, 0.45), patient)?.step).toBe(30);
  });
});
