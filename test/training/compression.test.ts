import fc from 'fast-check';
import type { Compression } from '../../contracts/compression';
import { partialBytes } from '../../contracts/compression';
import { methodOf, SCRATCH_FLOATS, type Method, type SumAt } from '../../training/compression';
import { KernelMemory } from '../../training/kernels';

const settings: Compression[] = [{ kind: 'bf16' }, { kind: 'fp16' }];

const memory = new KernelMemory(2 ** 20);
const scratch = memory.floats(SCRATCH_FLOATS);
const BLOCK = 256;
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
  const method = methodOf(setting, scratch);

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

  it('settles what is settled to itself', () => {
    fc.assert(
      fc.property(floats, (values) => {
        const once = settled(method, values);
        expect(hexOf(settled(method, once))).toBe(hexOf(once));
      }),
      { numRuns: 100 },
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
  const bf16 = methodOf({ kind: 'bf16' }, scratch);
  expect([...settled(bf16, Float32Array.of(1 + 2 ** -9, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20, -3.14159))]).toEqual([
    1,
    1,
    1 + 2 ** -6,
    1 + 2 ** -7,
    -3.140625,
  ]);
  const fp16 = methodOf({ kind: 'fp16' }, scratch);
  expect([...settled(fp16, Float32Array.of(1 + 2 ** -11, 65_519, 65_520, 2 ** -25, 3 * 2 ** -25))]).toEqual([1, 65_504, Infinity, 0, 2 ** -23]);
});
