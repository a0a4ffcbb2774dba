import fc from 'fast-check';
import { checksumOf } from '../../storage/checksum';
import { KernelMemory } from '../../training/kernels';

const word64 = (x: bigint) => BigInt.asUintN(64, x);
const hex = (x: bigint) => BigInt.asUintN(32, x).toString(16).padStart(8, '0');

/** As its description says, in big integers. */
function reference(bytes: Uint8Array): string {
  const filledUp = Buffer.concat([bytes, Buffer.alloc((32 - (bytes.length % 32)) % 32)]);
  const words = new Array<bigint>(8).fill(0n);
  const sums = new Array<bigint>(8).fill(0n);
  for (let i = 0; 4 * i < filledUp.length; i++) {
    const lane = i % 8;
    words[lane] = word64(words[lane]! + BigInt(filledUp.readUInt32LE(4 * i)));
    sums[lane] = word64(sums[lane]! + words[lane]!);
  }
  const joined = (lanes: readonly bigint[]) => lanes.reduce((sum, lane) => word64(sum * 0x9e3779b97f4a7c15n + lane));
  let x = word64(joined(sums) + BigInt(bytes.length));
  x = word64((x ^ (x >> 30n)) * 0xbf58476d1ce4e5b9n);
  x = word64((x ^ (x >> 27n)) * 0x94d049bb133111ebn);
  return hex(joined(words)) + hex((x ^ (x >> 31n)) >> 32n);
}

it('is what its description says, for any bytes in any parts', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 6 }), (parts) => {
      expect(checksumOf(parts)).toBe(reference(Buffer.concat(parts)));
    }),
  );
  const long = Uint8Array.from({ length: 100_003 }, (_, i) => (i * i) >>> 3);
  expect(checksumOf([long.subarray(0, 40_001), long.subarray(40_001)])).toBe(reference(long));
});

it('is the same where the bytes lie in the memory of the kernels, wherever they begin there, and in parts that do not', () => {
  const memory = new KernelMemory(2 ** 20);
  const room = Buffer.from(memory.floats(60_000).buffer, 64 + 32_768, 200_000);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(100_000), fc.nat(70_000), fc.boolean()), { maxLength: 4 }), fc.nat(255), (cuts, seed) => {
      for (let i = 0; i < room.length; i++) room[i] = (i * i + seed) >>> 3;
      const parts = cuts.map(([start, length, isHere]) =>
        isHere ? room.subarray(start, start + length) : Uint8Array.from(room.subarray(start, start + length)),
      );
      expect(checksumOf(parts)).toBe(checksumOf([Buffer.concat(parts)]));
    }),
    { numRuns: 30 },
  );
});

it('changes with any change of one word, with two that change places, and with the length of zeros', () => {
  const length = 8 * 30 + 3;
  fc.assert(
    fc.property(
      fc.uint32Array({ minLength: length, maxLength: length }),
      fc.nat(length - 1),
      fc.nat(length - 1),
      fc.integer(),
      (words, at, to, by) => {
        const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
        const before = checksumOf([bytes]);
        const old = words[at]!;
        words[at] = old + (by || 1);
        expect(checksumOf([bytes])).not.toBe(before);
        words[at] = words[to]!;
        words[to] = old;
        if (words[at] !== old) expect(checksumOf([bytes])).not.toBe(before);
      },
    ),
  );
  expect(checksumOf([new Uint8Array(32)])).not.toBe(checksumOf([new Uint8Array(64)]));
});
