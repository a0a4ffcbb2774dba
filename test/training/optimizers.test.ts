import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { Optimizer } from '../../contracts/optimizer';
import { blendBuffers, slotCount, update, updateByElements } from '../../training/optimizers';
import { bitsAt, streamOf } from '../../training/random';

interface Trajectories {
  readonly start: number[];
  readonly slope: number[];
  readonly steps: number;
  readonly decay: number;
  readonly cases: readonly { readonly rule: unknown; readonly points: number[][]; readonly averages: number[][] }[];
}
const trajectories = JSON.parse(readFileSync(path.join(__dirname, 'fixtures', 'torch-trajectories.json'), 'utf8')) as Trajectories;
const cases = trajectories.cases.map((each) => ({ ...each, name: JSON.stringify(each.rule), rule: Optimizer.parse(each.rule) }));

const signed = (key: number[], length: number) => {
  const stream = streamOf(...key);
  return Float32Array.from({ length }, (_, i) => (bitsAt(stream, i) - 2 ** 31) / 2 ** 31);
};

describe.each(cases)('$name', ({ rule, points, averages }) => {
  const { start, slope, steps, decay } = trajectories;
  const average = { decay };

  it('goes where PyTorch went in 50 steps (fixtures/make_torch_trajectories.py), and so does the moving average', () => {
    const params = Float32Array.from(start);
    const slots = new Float32Array(start.length * slotCount(rule, average));
    for (let step = 0; step < steps; step++) {
      const gradient = params.map((p, i) => Math.fround(slope[i]! * p) + (((7 * step + 3 * i) % 11) - 5) / 5);
      update(rule, { params, gradient, slots, step, learningRate: rule.learningRate }, average);
      if (step % 10 !== 9) continue;
      const kept = slots.subarray(-start.length);
      params.forEach((p, i) => expect(Math.abs(p - points[(step - 9) / 10]![i]!)).toBeLessThan(2e-6));
      kept.forEach((p, i) => expect(Math.abs(p - averages[(step - 9) / 10]![i]!)).toBeLessThan(2e-6));
    }
  });

  it.each([undefined, average])('compiled to SIMD gives the bits of one element at a time, with average %j', (averaged) => {
    const length = 4_501; // more than a chunk, and no whole number of vectors
    const [byVectors, byElements] = [signed([6], length), signed([6], length)];
    const [vectorSlots, elementSlots] = [0, 0].map(() => new Float32Array(length * slotCount(rule, averaged))) as [Float32Array, Float32Array];
    for (let step = 0; step < 3; step++) {
      const gradient = signed([7, step], length).map((value, i) => (i % 50 === 0 ? 0 : value * 2 ** ((i % 40) - 20)));
      const args = { gradient, step, learningRate: 0.03 };
      update(rule, { ...args, params: byVectors, slots: vectorSlots }, averaged);
      updateByElements(rule, { ...args, params: byElements, slots: elementSlots }, averaged);
    }
    expect(Buffer.from(byVectors.buffer).equals(Buffer.from(byElements.buffer))).toBe(true);
    expect(Buffer.from(vectorSlots.buffer).equals(Buffer.from(elementSlots.buffer))).toBe(true);
    expect(byVectors.every(Number.isFinite)).toBe(true);
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
      { numRuns: 8 },
    );
  });

  it('leaves parameters without gradient and decay where they are', () => {
    const still = { ...rule, weightDecay: 0 };
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

describe('optimizer settings', () => {
  it.each([
    [{ kind: 'sgd', learningRate: 0.1, nesterov: true }, 'expected momentum above 0 and no dampening'],
    [{ kind: 'sgd', learningRate: 0.1, nesterov: true, momentum: 0.9, dampening: 0.1 }, 'expected momentum above 0 and no dampening'],
    [{ kind: 'adam', learningRate: 0 }, 'expected more than 0'],
    [{ kind: 'adam', learningRate: 0.1, beta2: 1 }, 'expected less than 1'],
    [
      { kind: 'lamb', learningRate: 0.1 },
      'unknown optimizer; expected kind sgd, adam, adamw, adamax, nadam, radam, adagrad, adadelta, rmsprop, lion',
    ],
    [{ kind: 'rmsprop', learningRate: 0.1, rho: 0.9 }, 'Unrecognized key'],
  ])('%j is refused: %s', (given, message) => {
    expect(() => Optimizer.parse(given)).toThrow(message);
  });
  it('have the defaults of PyTorch where they are left out', () => {
    expect(Optimizer.parse({ kind: 'adadelta' })).toEqual({ kind: 'adadelta', learningRate: 1, rho: 0.9, epsilon: 1e-6, weightDecay: 0 });
  });
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
  it('lion: moves by the learning rate along the sign of the interpolation, and not at all where that is 0', () => {
    const rule = Optimizer.parse({ kind: 'lion', learningRate: 0.1, beta1: 0.5, beta2: 0.5 });
    // m: 0.5, then direction 0.25 - 0.5 * 0.5 = 0, m: 0
    expect(run(rule, [1, -0.5, 0])).toEqual(close([0.9, 0.9, 0.9]));
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
