import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import * as kernels from '../../training/kernels';
import { KernelMemory } from '../../training/kernels';
import * as reference from '../../training/kernels/reference';

type Vector = Float32Array | Uint16Array;
const hexOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) => Buffer.from(buffer, byteOffset, byteLength).toString('hex');

const sha256Of = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
  createHash('sha256')
    .update(Buffer.from(buffer, byteOffset, byteLength))
    .digest('hex');

const special = [0, 0x80000000, 1, 0x80000001, 0x007fffff, 0x00800000, 0x3f800000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000];
/** Any float32 there is by its bits, quiet and signalling NaN included, the special ones more often. */
const word = fc.oneof(fc.integer({ min: 0, max: 0xffffffff }), fc.constantFrom(...special, 0xffc00000, 0x7f800001, 0xffa5a5a5), halfWord());
/** Numbers near those that binary16 can hold, ties among them. */
function halfWord() {
  return fc
    .record({ exponent: fc.integer({ min: 95, max: 145 }), digits: fc.integer({ min: 0, max: 0x7ff }), tail: fc.constantFrom(0, 1, 0xfff) })
    .map(({ exponent, digits, tail }) => ((exponent << 23) | (digits << 12) | tail) >>> 0);
}
const words = fc.array(fc.tuple(word, word), { maxLength: 70 });
const floatsOf = (list: number[]) => new Float32Array(Uint32Array.from(list).buffer);

const memory = new KernelMemory(2 ** 20);
/** Copies inside the kernels' memory, at offsets that are no multiples of a SIMD register. */
function place<V extends Vector[]>(shift: number, ...vectors: V): V {
  const rooms = vectors.map(({ length }) => memory.floats(length + 8));
  const placed = vectors.map((values, i) => {
    const start = rooms[i]!.byteOffset + shift * values.BYTES_PER_ELEMENT;
    const Kind = values.constructor as typeof Float32Array;
    const copy = new Kind(rooms[i]!.buffer, start, values.length);
    copy.set(values);
    return copy;
  }) as unknown as V;
  for (const room of rooms) memory.release(room);
  return placed;
}

describe('a kernel gives the bits of its loop in JavaScript, for every float32 and every length and offset, when it', () => {
  it('adds', () => {
    fc.assert(
      fc.property(words, fc.nat(3), (pairs, shift) => {
        const [a, b] = [floatsOf(pairs.map(([x]) => x)), floatsOf(pairs.map(([, y]) => y))];
        const expected = new Float32Array(a.length);
        reference.add(expected, a, b);
        const [out, x, y] = place(shift, new Float32Array(a.length), a, b);
        kernels.add(out, x, y);
        expect(hexOf(out)).toBe(hexOf(expected));
        kernels.add(x, x, y);
        expect(hexOf(x)).toBe(hexOf(expected));
      }),
      { numRuns: 300 },
    );
  });

  it('divides', () => {
    fc.assert(
      fc.property(words, fc.oneof(fc.integer({ min: 1, max: 70_000 }), fc.constant(2 ** 24 + 1)), fc.nat(3), (pairs, divisor, shift) => {
        const a = floatsOf(pairs.map(([x]) => x));
        const expected = new Float32Array(a.length);
        reference.divide(expected, a, divisor);
        const [out, x] = place(shift, new Float32Array(a.length), a);
        kernels.divide(out, x, divisor);
        expect(hexOf(out)).toBe(hexOf(expected));
      }),
      { numRuns: 300 },
    );
  });

  it.each(['Bf16', 'Fp16'] as const)('rounds to %s and back', (format) => {
    fc.assert(
      fc.property(words, fc.nat(7), (pairs, shift) => {
        const a = floatsOf(pairs.flat());
        const expected = new Uint16Array(a.length);
        const back = new Float32Array(a.length);
        reference[`encode${format}`](expected, a);
        reference[`decode${format}`](back, expected);
        const [half, x, decoded] = place(shift, new Uint16Array(a.length), a, new Float32Array(a.length));
        kernels[`encode${format}`](half, x);
        kernels[`decode${format}`](decoded, half);
        expect(hexOf(half)).toBe(hexOf(expected));
        expect(hexOf(decoded)).toBe(hexOf(back));
      }),
      { numRuns: 300 },
    );
  });
});

describe('a half-precision format', () => {
  const all = Uint16Array.from({ length: 65_536 }, (_, i) => i);
  it.each(['Bf16', 'Fp16'] as const)('%s keeps every value that it holds, and all kernels agree on all of them', (format) => {
    const floats = new Float32Array(all.length);
    const again = new Uint16Array(all.length);
    kernels[`decode${format}`](floats, all);
    kernels[`encode${format}`](again, floats);
    const nan = format === 'Bf16' ? 0x7fc0 : 0x7e00;
    floats.forEach((value, i) => {
      if (again[i] !== (Number.isNaN(value) ? nan : i)) throw new Error(`${i} came back as ${again[i]}`);
    });
    const [half, decoded] = place(1, all, new Float32Array(all.length));
    kernels[`decode${format}`](decoded, half);
    expect(sha256Of(decoded)).toBe(sha256Of(floats));
  });

  it('rounds to nearest, ties to even, against values worked out by hand', () => {
    const halves = new Uint16Array(7);
    kernels.encodeBf16(halves.subarray(0, 4), Float32Array.of(1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, -3.4e38));
    expect([...halves.subarray(0, 4)]).toEqual([0x3f80, 0x3f80, 0x3f82, 0xff80]);
    kernels.encodeFp16(halves, Float32Array.of(1, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 65_504, 65_520, 2 ** -24, 2 ** -25));
    expect([...halves]).toEqual([0x3c00, 0x3c00, 0x3c02, 0x7bff, 0x7c00, 1, 0]);
  });
});

describe('kernel memory', () => {
  it('gives vectors that do not overlap, takes them back, and joins what lies side by side', () => {
    const small = new KernelMemory(100_000);
    fc.assert(
      fc.property(fc.array(fc.record({ length: fc.integer({ min: 0, max: 3_000 }), keep: fc.boolean() }), { maxLength: 30 }), (requests) => {
        const held: Float32Array[] = [];
        requests.forEach(({ length, keep }, i) => {
          const vector = small.floats(length).fill(i);
          if (keep) held.push(vector);
          else small.release(vector);
        });
        const marks = held.map((vector) => vector[0]);
        held.forEach((vector, i) => expect(vector.every((value) => value === marks[i])).toBe(true));
        held.forEach((vector) => small.release(vector));
        const whole = small.floats(24_000);
        expect(kernels.kernelsFor(whole)).toBeDefined();
        small.release(whole);
      }),
    );
  });

  it('answers with ordinary memory when it is full, on which everything still works', () => {
    const small = new KernelMemory(1_000);
    const [a, b] = [small.floats(10_000_000), small.floats(4)];
    expect(kernels.kernelsFor(a)).toBeUndefined();
    b.set([1, 2, 3, 4]);
    kernels.add(b, b, a.subarray(0, 4).fill(1));
    expect([...b]).toEqual([2, 3, 4, 5]);
    small.release(a);
  });

  it('says what it had no room for, and what to do', () => {
    expect(() => new KernelMemory(1_000).floats(2 ** 40)).toThrow(
      /no room for a vector of 1099511627776 floats \(4194304 MiB\): .* give the function more memory/,
    );
  });

  it('refuses a vector that is given back twice', () => {
    const small = new KernelMemory(1_000);
    const vector = small.floats(5);
    small.release(vector);
    expect(() => small.release(vector)).toThrow('released before');
  });
});

it('the committed modules are what their sources compile to', () => {
  const root = join(__dirname, '../..');
  const again = mkdtempSync(join(tmpdir(), 'smlt-kernels-'));
  execFileSync(process.execPath, [join(root, 'scripts/build-kernels.mjs'), '--to', again]);
  for (const module of ['training/kernels/wasm.ts', 'storage/checksum/wasm.ts'])
    expect(readFileSync(join(again, module), 'utf8')).toBe(readFileSync(join(root, module), 'utf8'));
  rmSync(again, { recursive: true });
});
