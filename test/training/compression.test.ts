import fc from 'fast-check';
import type { Compression } from '../../contracts/compression';
import { partialBytes } from '../../contracts/compression';
import { methodOf, SCRATCH_FLOATS, type Method, type SumAt } from '../../training/compression';
import { KernelMemory } from '../../training/kernels';

const settings: Compression[] = [
  { kind: 'bf16' },
  { kind: 'fp16' },
  { kind: 'top-k', density: 0.1 },
  { kind: 'qsgd', bits: 8 },
  { kind: 'qsgd', bits: 4 },
];

const memory = new KernelMemory(2 ** 20);
const scratch = memory.floats(SCRATCH_FLOATS);
const BLOCK = 256;
const SEED = 7;
const at = (first = 0): SumAt => ({ step: 3, node: { start: 4, end: 8 }, first });

/** Any float32 by its bits, ordinary numbers more often. */
const float = fc.oneof(
  fc.float({ min: -4, max: 4, noNaN: true }),
  fc.integer({ min: 0, max: 0xffffffff }).map((word) => new Float32Array(Uint32Array.of(word).buffer)[0]!),
  fc.constantFrom(0, -0, Infinity, NaN, 1e-40, 65_504, 65_520),
);
const floats = fc.array(float, { maxLength: 3 * BLOCK + 7 }).map((list) => Float32Array.from(list));
const hexOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) => Buffer.from(buffer, byteOffset, byteLength).toString('hex');

function settled(method: Method, values: Float32Array, where = at()): Float32Array {
  const sum = values.slice();
  method.settle(sum, where);
  return sum;
}

describe.each(settings.map((setting) => [JSON.stringify(setting), setting] as const))('compression by %s', (_, setting) => {
  const method = methodOf(setting, scratch, SEED);

  it('sends a settled sum without loss, in as many bytes as it says', () => {
    fc.assert(
      fc.property(floats, (values) => {
        const sum = settled(method, values);
        const out = new Uint8Array(Math.ceil(method.bytesFor(sum.length) / 4) * 4);
        const used = method.encode(sum, out);
        if (method.fixedSize) expect(used).toBe(method.bytesFor(sum.length));
        expect(used).toBeLessThanOrEqual(out.length);
        const again = new Float32Array(sum.length).fill(7);
        method.decode(out.slice(0, used), again);
        expect(hexOf(again)).toBe(hexOf(sum));
      }),
      { numRuns: 200 },
    );
  });

  it('settles ranges to the same bits as the whole', () => {
    fc.assert(
      fc.property(floats, fc.nat(3), (values, block) => {
        const whole = settled(method, values);
        const border = Math.min(values.length, block * BLOCK);
        const parts = [settled(method, values.slice(0, border)), settled(method, values.slice(border), at(border))];
        expect(parts.map(hexOf).join('')).toBe(hexOf(whole));
      }),
      { numRuns: 100 },
    );
  });

  it('gives the same bits inside the kernels’ memory and outside', () => {
    const values = Float32Array.from({ length: 1_000 }, (_unused, i) => Math.sin(i) * 2 ** ((i % 40) - 20));
    const inside = memory.floats(values.length);
    inside.set(values);
    method.settle(inside, at());
    expect(hexOf(inside)).toBe(hexOf(settled(method, values)));
    memory.release(inside);
  });

  it('takes at most the bytes that the traffic formula says', () => {
    for (const elements of [1, 2, 255, 256, 1_001]) {
      const bytes = Math.ceil(method.bytesFor(elements) / 4) * 4;
      expect(partialBytes(setting, elements + 3, elements)).toBe(bytes + 12);
    }
  });
});

it('halves round to the nearest number that they hold, ties to even', () => {
  const bf16 = methodOf({ kind: 'bf16' }, scratch, SEED);
  expect([...settled(bf16, Float32Array.of(1 + 2 ** -9, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20, -3.14159))]).toEqual([
    1,
    1,
    1 + 2 ** -6,
    1 + 2 ** -7,
    -3.140625,
  ]);
  const fp16 = methodOf({ kind: 'fp16' }, scratch, SEED);
  expect([...settled(fp16, Float32Array.of(1 + 2 ** -11, 65_519, 65_520, 2 ** -25, 3 * 2 ** -25))]).toEqual([1, 65_504, Infinity, 0, 2 ** -23]);
});

describe('a lane that holds something back', () => {
  const params = Float32Array.from({ length: 600 }, (_, i) => Math.cos(i) + 2);
  const lane = { step: 3, samples: 4, params, learningRate: 0.1 };
  const gradients = fc.array(fc.float({ min: -4, max: 4, noNaN: true }), { minLength: 1, maxLength: 600 });
  const select = (setting: Compression, gradient: Float32Array, kept: Float32Array) => {
    const sent = gradient.slice();
    const keeps = new Float32Array(sent.length).fill(NaN);
    methodOf(setting, scratch, SEED).lane!.select(sent, kept, keeps, { ...lane, params: params.subarray(0, sent.length) });
    return { sent, keeps };
  };

  it.each<[Compression]>([[{ kind: 'top-k', density: 0.1 }], [{ kind: 'significance', threshold: 0.7 }]])(
    'sends or keeps every element of what has come together, %j',
    (setting) => {
      fc.assert(
        fc.property(gradients, fc.integer(), (list, seed) => {
          const gradient = Float32Array.from(list);
          const kept = gradient.map((_, i) => Math.sin(seed + i));
          const { sent, keeps } = select(setting, gradient, kept);
          for (let i = 0; i < list.length; i++) {
            expect(sent[i]! + keeps[i]!).toBe(Math.fround(gradient[i]! + kept[i]!));
            expect(sent[i] === 0 || keeps[i] === 0).toBe(true);
          }
        }),
        { numRuns: 60 },
      );
    },
  );

  it('sends the largest tenth, the first ones among equals', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 1, maxLength: 300 }), (list) => {
        const gradient = Float32Array.from(list);
        const { sent } = select({ kind: 'top-k', density: 0.1 }, gradient, new Float32Array(list.length));
        const expected = list
          .map((value, i) => ({ value, i }))
          .sort((a, b) => Math.abs(b.value) - Math.abs(a.value) || a.i - b.i)
          .slice(0, Math.max(1, Math.round(list.length * 0.1)));
        const chosen = new Float32Array(list.length);
        for (const { value, i } of expected) chosen[i] = value;
        expect([...sent]).toEqual([...chosen]);
      }),
    );
  });

  it('sends what would move its parameter by more than its share, and never holds back NaN', () => {
    // threshold / sqrt(step + 1) = 0.35; the update of a mean over 4 samples at rate 0.1 is a fortieth of the sum.
    const gradient = Float32Array.of(0.36 * 40, 0.34 * 40, -0.36 * 80, NaN, 1e-30);
    const sent = gradient.slice();
    const keeps = new Float32Array(5);
    const at = { ...lane, params: Float32Array.of(1, 1, -2, 5, 0) };
    methodOf({ kind: 'significance', threshold: 0.7 }, scratch, SEED).lane!.select(sent, new Float32Array(5), keeps, at);
    expect([...sent]).toEqual([gradient[0], 0, gradient[2], NaN, gradient[4]]);
    expect([...keeps]).toEqual([0, gradient[1], 0, 0, 0]);
  });
});

describe('stochastic quantisation', () => {
  const values = Float32Array.from({ length: 300 }, (_, i) => Math.sin(i * 1.7) * 2 ** (i % 5));
  const quantised = (node: SumAt['node'], seed = SEED) => settled(methodOf({ kind: 'qsgd', bits: 4 }, scratch, seed), values, { ...at(), node });

  it('moves an element by less than one level, and by nothing on the average of many nodes', () => {
    const draws = 2_000;
    const sums = new Float64Array(values.length);
    for (let lane = 0; lane < draws; lane++) quantised({ start: lane, end: lane + 1 }).forEach((value, i) => (sums[i]! += value));
    const scales = [values.subarray(0, BLOCK), values.subarray(BLOCK)].map((part) => Math.max(...part.map(Math.abs)));
    values.forEach((value, i) => {
      const level = scales[Math.floor(i / BLOCK)]! / 7;
      expect(Math.abs(quantised({ start: 0, end: 1 })[i]! - value)).toBeLessThan(level * 1.000001);
      // Six standard deviations of the mean of draws that are apart by one level at most.
      expect(Math.abs(sums[i]! / draws - value)).toBeLessThan((6 * level * 0.5) / Math.sqrt(draws));
    });
  });

  it('draws otherwise for another node, another step and another seed', () => {
    const one = hexOf(quantised({ start: 0, end: 1 }));
    expect(hexOf(quantised({ start: 0, end: 1 }))).toBe(one);
    expect(hexOf(quantised({ start: 0, end: 2 }))).not.toBe(one);
    expect(hexOf(quantised({ start: 0, end: 1 }, 8))).not.toBe(one);
    expect(hexOf(settled(methodOf({ kind: 'qsgd', bits: 4 }, scratch, SEED), values, { step: 4, node: { start: 0, end: 1 }, first: 0 }))).not.toBe(
      one,
    );
  });
});
