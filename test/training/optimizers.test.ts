import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { Optimizer } from '../../contracts/optimizer';
import { blendBuffers, slotCount, update } from '../../training/optimizers';
import { bitsAt, streamOf } from '../../training/random';

const rules: [string, Optimizer][] = (
  [
    { kind: 'sgd', learningRate: 0.05 },
    { kind: 'sgd', learningRate: 0.05, weightDecay: 0.1 },
    { kind: 'sgd', learningRate: 0.05, momentum: 0.9, weightDecay: 0.01 },
    { kind: 'sgd', learningRate: 0.05, momentum: 0.9, nesterov: true, weightDecay: 0.01 },
    { kind: 'adam', learningRate: 0.01 },
    { kind: 'adam', learningRate: 0.01, weightDecay: 0.1, beta1: 0.8, beta2: 0.99 },
    { kind: 'adamw', learningRate: 0.01, weightDecay: 0.1 },
  ] as const
).map((rule) => [JSON.stringify(rule), Optimizer.parse(rule)]);

const signed = (key: number[], length: number) => {
  const stream = streamOf(...key);
  return Float32Array.from({ length }, (_, i) => (bitsAt(stream, i) - 2 ** 31) / 2 ** 31);
};
/** A gradient that depends on the parameters, as in training, so that a wrong update also leads elsewhere. */
const gradientAt = (params: ArrayLike<number>, step: number, key: number) => {
  const noise = signed([key, step], params.length);
  return Array.from(noise, (value, i) => params[i]! * (1 + (i % 3)) + 0.3 * value);
};

/** torch.optim's documentation in float64, in its own order of lines, written without looking at the code under test. */
class Reference {
  private readonly buffers: (number | undefined)[];
  private readonly averages: [number, number][];
  private time = 0;
  constructor(
    private readonly rule: Optimizer,
    readonly params: number[],
  ) {
    this.buffers = params.map(() => undefined);
    this.averages = params.map(() => [0, 0]);
  }
  step(gradient: number[]): void {
    this.time++;
    const { rule, time } = this;
    gradient.forEach((given, i) => {
      let g = given;
      if (rule.kind !== 'adamw') g += rule.weightDecay * this.params[i]!;
      if (rule.kind === 'sgd') {
        if (rule.momentum > 0) {
          const old = this.buffers[i];
          const buffer = old === undefined ? g : rule.momentum * old + g;
          this.buffers[i] = buffer;
          g = rule.nesterov ? g + rule.momentum * buffer : buffer;
        }
        this.params[i]! -= rule.learningRate * g;
        return;
      }
      if (rule.kind === 'adamw') this.params[i]! -= rule.learningRate * rule.weightDecay * this.params[i]!;
      const [m, v] = this.averages[i]!;
      const average: [number, number] = [rule.beta1 * m + (1 - rule.beta1) * g, rule.beta2 * v + (1 - rule.beta2) * g * g];
      this.averages[i] = average;
      const corrected = average[0] / (1 - rule.beta1 ** time);
      const spread = average[1] / (1 - rule.beta2 ** time);
      this.params[i]! -= (rule.learningRate * corrected) / (Math.sqrt(spread) + rule.epsilon);
    });
  }
}

describe.each(rules)('%s', (_name, rule) => {
  it('stays within float32 rounding of a float64 reference over 50 steps', () => {
    const params = signed([1], 64);
    const reference = new Reference(rule, [...params]);
    const slots = new Float32Array(64 * slotCount(rule));
    for (let step = 0; step < 50; step++) {
      update(rule, { params, gradient: Float32Array.from(gradientAt(params, step, 2)), slots, step, learningRate: rule.learningRate });
      reference.step(gradientAt(reference.params, step, 2));
    }
    params.forEach((value, i) => expect(Math.abs(value - reference.params[i]!)).toBeLessThan(3e-6));
  });

  it('gives the same bits however the parameters are cut', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 63 }), { maxLength: 6 }), (inner) => {
        const borders = [0, ...inner.sort((a, b) => a - b), 64];
        const whole = signed([3], 64);
        const slots = new Float32Array(64 * slotCount(rule));
        const parts = borders.slice(1).map((end, i) => {
          const params = whole.slice(borders[i]!, end);
          return { start: borders[i]!, end, params, slots: new Float32Array(params.length * slotCount(rule)) };
        });
        for (let step = 0; step < 5; step++) {
          const gradient = signed([4, step], 64);
          update(rule, { params: whole, gradient, slots, step, learningRate: 0.02 });
          for (const part of parts)
            update(rule, { params: part.params, gradient: gradient.slice(part.start, part.end), slots: part.slots, step, learningRate: 0.02 });
        }
        expect(parts.flatMap(({ params }) => [...params])).toEqual([...whole]);
        for (let slot = 0; slot < slotCount(rule); slot++)
          expect(parts.flatMap((part) => [...part.slots.subarray(slot * part.params.length, (slot + 1) * part.params.length)])).toEqual([
            ...slots.subarray(slot * 64, (slot + 1) * 64),
          ]);
      }),
      { numRuns: 20 },
    );
  });

  it('leaves parameters without gradient and decay where they are', () => {
    const still = { ...rule, weightDecay: 0 } as Optimizer;
    const params = signed([5], 8);
    const before = [...params];
    update(still, { params, gradient: new Float32Array(8), slots: new Float32Array(8 * slotCount(still)), step: 0, learningRate: 0.1 });
    expect([...params]).toEqual(before);
  });

  it('refuses state of another length', () => {
    const args = { params: new Float32Array(4), gradient: new Float32Array(4), slots: new Float32Array(3), step: 0, learningRate: 0.1 };
    expect(() => update(rule, args)).toThrow(`${4 * slotCount(rule)} floats of state, got 4 and 3`);
  });
});

describe('trajectories that PyTorch took (fixtures/make_torch_trajectories.py)', () => {
  const { start, slope, steps, cases } = JSON.parse(readFileSync(path.join(__dirname, 'fixtures', 'torch-trajectories.json'), 'utf8')) as {
    start: number[];
    slope: number[];
    steps: number;
    cases: { rule: unknown; points: number[][] }[];
  };
  it.each(cases.map(({ rule, points }) => [JSON.stringify(rule), rule, points] as const))(
    'are followed over 50 steps: %s',
    (_name, given, points) => {
      const rule = Optimizer.parse(given);
      const params = Float32Array.from(start);
      const slots = new Float32Array(start.length * slotCount(rule));
      for (let step = 0; step < steps; step++) {
        const gradient = params.map((p, i) => Math.fround(slope[i]! * p) + (((7 * step + 3 * i) % 11) - 5) / 5);
        update(rule, { params, gradient, slots, step, learningRate: rule.learningRate });
        if (step % 10 === 9) params.forEach((p, i) => expect(Math.abs(p - points[(step - 9) / 10]![i]!)).toBeLessThan(1e-6));
      }
    },
  );
});

describe('hand-worked steps of the PyTorch rules', () => {
  const run = (rule: Optimizer, gradients: number[], start = 1) => {
    const params = Float32Array.of(start);
    const slots = new Float32Array(slotCount(rule));
    return gradients.map((gradient, step) => {
      update(rule, { params, gradient: Float32Array.of(gradient), slots, step, learningRate: rule.learningRate });
      return params[0]!;
    });
  };
  const close = (values: number[]) => values.map((value) => expect.closeTo(value, 6));
  it('sgd: p - lr g', () => {
    expect(run(Optimizer.parse({ kind: 'sgd', learningRate: 0.5 }), [1, -1])).toEqual([0.5, 1]);
  });
  it('sgd with momentum: the first velocity is the gradient itself, without dampening', () => {
    // v: 1, 0.5 + 1 = 1.5, 0.75 + 0 = 0.75
    expect(run(Optimizer.parse({ kind: 'sgd', learningRate: 0.1, momentum: 0.5 }), [1, 1, 0])).toEqual(close([0.9, 0.75, 0.675]));
  });
  it('sgd with Nesterov momentum: looks one step ahead', () => {
    // v: 1, 1.5; direction: 1 + 0.5, 1 + 0.75
    expect(run(Optimizer.parse({ kind: 'sgd', learningRate: 0.1, momentum: 0.5, nesterov: true }), [1, 1])).toEqual(close([0.85, 0.675]));
  });
  it('adam: the first step is the learning rate, whatever the gradient, and epsilon stands outside the root', () => {
    const rule = Optimizer.parse({ kind: 'adam', learningRate: 0.1, epsilon: 0.5 });
    expect(run(rule, [2])).toEqual(close([1 - (0.1 * 2) / (2 + 0.5)]));
    expect(run(Optimizer.parse({ kind: 'adam', learningRate: 0.1 }), [0.1])).toEqual(close([0.9]));
  });
  it('adamw: decay shrinks the parameter and never enters the averages; adam: decay is part of the gradient', () => {
    expect(run(Optimizer.parse({ kind: 'adamw', learningRate: 0.1, weightDecay: 0.5 }), [0])).toEqual(close([0.95]));
    expect(run(Optimizer.parse({ kind: 'adam', learningRate: 0.1, weightDecay: 0.5 }), [0])).toEqual(close([0.9]));
  });
  it('a million steps in, bias correction is one and not NaN', () => {
    const rule = Optimizer.parse({ kind: 'adam', learningRate: 0.1 });
    const params = Float32Array.of(1);
    update(rule, { params, gradient: Float32Array.of(1), slots: Float32Array.of(1, 1), step: 1_000_000, learningRate: 0.1 });
    expect(params[0]).toBeCloseTo(0.9, 6);
  });
});

it('running statistics move by the momentum towards what was observed', () => {
  const running = Float32Array.of(1, 0, -2);
  blendBuffers(running, Float32Array.of(2, 1, -2), 0.25);
  expect([...running]).toEqual([1.25, 0.25, -2]);
});
