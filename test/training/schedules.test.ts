import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { Optimizer } from '../../contracts/optimizer';
import { Schedule } from '../../contracts/schedule';
import { cosinePi, exponential, logarithm, power, powerOf } from '../../training/elementary';
import { countLoss, counterLength, reductionsOf, resetCounters } from '../../training/plateau';
import { learningRateAt } from '../../training/schedules';

const optimizer = Optimizer.parse({ kind: 'sgd', learningRate: 0.2 });
const curve = (schedule: Parameters<typeof Schedule.parse>[0], steps: number[], total = 100) =>
  steps.map((step) => learningRateAt(optimizer, Schedule.parse(schedule), step, total));

interface Rates {
  readonly rate: number;
  readonly steps: number;
  readonly losses: number[];
  readonly cases: readonly { readonly schedule: { kind: string }; readonly rates: number[] }[];
}
const torch = JSON.parse(readFileSync(path.join(__dirname, 'fixtures', 'torch-schedules.json'), 'utf8')) as Rates;

describe("PyTorch's schedulers, warm-up before them too (fixtures/make_torch_schedules.py)", () => {
  it.each(torch.cases.map(({ schedule, rates }) => [JSON.stringify(schedule), schedule, rates] as const))(
    'give the same rate at every step: %s',
    (_name, given, rates) => {
      const schedule = Schedule.parse(given);
      const counters = new Float32Array(counterLength(schedule));
      resetCounters(counters);
      const own = torch.losses.map((loss, step) => {
        const rate = learningRateAt(optimizer, schedule, step, torch.steps, reductionsOf(counters));
        countLoss(schedule, counters, step, loss);
        return rate;
      });
      expect(own).toEqual(rates.map((rate) => expect.closeTo(rate, 14)));
      if (schedule.kind === 'reduce-on-plateau') expect(reductionsOf(counters)).toBeGreaterThan(0);
    },
  );
});

describe('schedule settings', () => {
  it.each([
    [{ kind: 'linear' }, 'unknown schedule; expected kind constant, step, multistep, exponential, cosine, cosine-restarts'],
    [{ kind: 'multistep', atSteps: [5, 5] }, 'expected rising steps'],
    [{ kind: 'exponential', factor: 1.1 }, 'expected at most 1'],
    [{ kind: 'one-cycle', riseShare: 1 }, 'expected less than 1'],
  ])('%j is refused: %s', (given, message) => {
    expect(() => Schedule.parse(given)).toThrow(message);
  });
});

describe('learning-rate schedules', () => {
  it('stay constant', () => {
    expect(curve({ kind: 'constant' }, [0, 50, 1_000])).toEqual([0.2, 0.2, 0.2]);
  });
  it('rise linearly to the full rate at the last warm-up step, and begin the schedule after it', () => {
    expect(curve({ kind: 'constant', warmupSteps: 4 }, [0, 1, 2, 3, 4])).toEqual([0.05, 0.1, 0.15, 0.2, 0.2].map((rate) => expect.closeTo(rate, 12)));
    expect(curve({ kind: 'step', everySteps: 10, factor: 0.5, warmupSteps: 5 }, [4, 14, 15, 25])).toEqual([0.2, 0.2, 0.1, 0.05]);
  });
  it('fall from the full rate to the minimum along a cosine, and stay there', () => {
    const rates = curve({ kind: 'cosine', minimumFactor: 0.1 }, [0, 25, 50, 75, 100, 150]);
    const expected = [0, 0.25, 0.5, 0.75, 1, 1].map((t) => 0.2 * (0.1 + 0.9 * 0.5 * (1 + Math.cos(Math.PI * t))));
    expect(rates).toEqual(expected.map((rate) => expect.closeTo(rate, 14)));
  });
  it('are finite and not negative, whatever the step', () => {
    const any = fc.oneof(
      fc.record({ kind: fc.constant('constant' as const), warmupSteps: fc.nat(50) }),
      fc.record({
        kind: fc.constant('step' as const),
        everySteps: fc.integer({ min: 1, max: 99 }),
        factor: fc.constant(0.1),
        warmupSteps: fc.nat(50),
      }),
      fc.record({ kind: fc.constant('cosine' as const), minimumFactor: fc.constantFrom(0, 0.3, 1), warmupSteps: fc.nat(50) }),
    );
    fc.assert(
      fc.property(any, fc.nat(200), fc.integer({ min: 1, max: 100 }), (schedule, step, total) => {
        const rate = learningRateAt(optimizer, schedule, step, total);
        expect(rate).toBeGreaterThanOrEqual(0);
        expect(rate).toBeLessThanOrEqual(0.2);
      }),
    );
  });
});

it('the own cosine and power differ from the library by less than 1e-15, and 1e-12 of the value', () => {
  for (let i = 0; i <= 1_000; i++) expect(Math.abs(cosinePi(i / 1_000) - Math.cos((Math.PI * i) / 1_000))).toBeLessThan(1e-15);
  for (const exponent of [0, 1, 2, 7, 100, 12_345]) expect(power(0.999, exponent) / Math.pow(0.999, exponent)).toBeCloseTo(1, 12);
});

it('the own exponential, logarithm and power of a fraction are within 4 units in the last place of the library', () => {
  const near = (own: number, library: number) => expect(Math.abs(own / library - 1)).toBeLessThan(1e-15);
  for (let i = 1; i <= 400; i++) {
    near(exponential((i - 200) / 13), Math.exp((i - 200) / 13));
    if (i !== 100) near(logarithm(i / 100), Math.log(i / 100));
    near(powerOf(i / 400, 0.9), Math.pow(i / 400, 0.9));
  }
  expect([powerOf(0, 0.5), powerOf(1, 0.3), logarithm(1), exponential(0)]).toEqual([0, 1, 0, 1]);
});
