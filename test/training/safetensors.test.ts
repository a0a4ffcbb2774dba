import fc from 'fast-check';
import { decodeSafetensors, encodeSafetensors, type SafeTensor } from '../../training/safetensors';

const f32 = (name: string, shape: number[], values: number[]): SafeTensor => ({ name, dtype: 'F32', shape, data: Float32Array.from(values) });
/** A file with any header, valid or not. */
const file = (header: unknown, body: Uint8Array = new Uint8Array()) => {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return new Uint8Array(Buffer.concat([length, text, body]));
};
const refusal = (message: string) => expect.objectContaining({ code: 'BadData', message: expect.stringContaining(message) });

describe('safetensors', () => {
  it('reads back what it wrote: names, shapes, types, values and metadata', () => {
    const tensor = fc
      .record({
        dtype: fc.constantFrom('F32' as const, 'F64' as const, 'I32' as const, 'U8' as const, 'I64' as const),
        shape: fc.array(fc.nat(4), { maxLength: 3 }),
        seed: fc.nat(100),
      })
      .map(({ dtype, shape, seed }) => {
        const length = shape.reduce((a, b) => a * b, 1);
        const values = Array.from({ length }, (_, i) => (i * 7 + seed) % 256);
        const types = { F32: Float32Array, F64: Float64Array, I32: Int32Array, U8: Uint8Array };
        return { dtype, shape, data: dtype === 'I64' ? BigInt64Array.from(values, BigInt) : types[dtype].from(values) };
      });
    const names = fc.uniqueArray(
      fc.string({ unit: 'grapheme', minLength: 1 }).filter((name) => name !== '__metadata__'),
      {
        maxLength: 5,
      },
    );
    fc.assert(
      fc.property(names, fc.array(tensor, { minLength: 5, maxLength: 5 }), fc.nat(7), (tensorNames, bodies, shift) => {
        const tensors = tensorNames.map((name, i) => ({ name, ...bodies[i]! })) as SafeTensor[];
        const bytes = encodeSafetensors(tensors, { note: 'größer als 1 % — ✓' });
        const moved = new Uint8Array(bytes.length + shift); // a file may lie anywhere in a larger buffer
        moved.set(bytes, shift);
        const read = decodeSafetensors(moved.subarray(shift));
        expect(read.metadata).toEqual({ note: 'größer als 1 % — ✓' });
        expect(read.tensors.size).toBe(tensors.length);
        for (const { name, dtype, shape, data } of tensors) expect(read.tensors.get(name)).toEqual({ name, dtype, shape, data });
      }),
    );
  });
  it('keeps a tensor of any name, even one that means something to JavaScript', () => {
    const read = decodeSafetensors(encodeSafetensors([f32('__proto__', [1], [4]), f32('constructor', [1], [5])], JSON.parse('{"__proto__":"m"}')));
    expect([...read.tensors].map(([name, { data }]) => [name, data[0]])).toEqual([
      ['__proto__', 4],
      ['constructor', 5],
    ]);
    expect(Object.entries(read.metadata)).toEqual([['__proto__', 'm']]);
  });
  it('reads the file that another writer made, byte by byte', () => {
    const body = new Uint8Array(Float32Array.of(1, 2).buffer);
    const read = decodeSafetensors(file('{"wäh":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}   ', body));
    expect([...(read.tensors.get('wäh')!.data as Float32Array)]).toEqual([1, 2]);
  });
  it('writes the same bytes for the same tensors, aligned for their type', () => {
    const tensors = [f32('a', [3], [1, 2, 3]), { name: 'l', dtype: 'I64', shape: [1], data: BigInt64Array.of(5n) } as SafeTensor];
    expect(encodeSafetensors(tensors)).toEqual(encodeSafetensors(tensors));
    const read = decodeSafetensors(encodeSafetensors(tensors));
    for (const { data } of read.tensors.values()) expect(data.byteOffset % data.BYTES_PER_ELEMENT).toBe(0);
    expect(read.tensors.get('a')!.data.buffer).toBe(read.tensors.get('l')!.data.buffer); // views, not copies
  });

  const entry = (dtype: unknown, shape: unknown, offsets: unknown) => ({ t: { dtype, shape, data_offsets: offsets } });
  it.each<[string, Uint8Array, string]>([
    ['a file of 3 bytes', new Uint8Array(3), 'expected at least 8 bytes, got 3'],
    ['a header longer than the file', file({}).subarray(0, 9), 'the file is cut off or not safetensors'],
    ['a header length of 2^60', new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0x10]), 'the file is cut off or not safetensors'],
    ['a header that is no JSON', file('{"t":'), 'the header is not JSON'],
    ['a header with broken UTF-8', new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0, 0xff]), 'the header is not JSON'],
    ['a header that is a list', file([]), 'not a JSON object'],
    ['an unknown type', file(entry('F33', [], [0, 4]), new Uint8Array(4)), 'dtype "F33": expected one of F64, F32'],
    ['a negative axis', file(entry('F32', [-1], [0, 4]), new Uint8Array(4)), 'shape [-1]'],
    ['offsets that do not fit the shape', file(entry('F32', [2], [0, 4]), new Uint8Array(4)), 'F32 of shape [2]: expected 8 bytes, got 4'],
    ['a tensor that ends behind the file', file(entry('F32', [2], [0, 8]), new Uint8Array(4)), 'ends at byte 8 of 4'],
    ['a hole', file(entry('F32', [1], [4, 8]), new Uint8Array(8)), 'starts at byte 4, expected 0'],
    [
      'two tensors on the same bytes',
      file({ a: { dtype: 'F32', shape: [1], data_offsets: [0, 4] }, b: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } }, new Uint8Array(4)),
      'tensor b: starts at byte 0, expected 4',
    ],
    ['bytes left over', file({}, new Uint8Array(1)), 'expected 0 bytes of tensors, got 1'],
    ['metadata that is no text', file({ __metadata__: { a: 1 } }), '__metadata__.a: expected a string'],
  ])('refuses %s', (_name, bytes, message) => {
    expect(() => decodeSafetensors(bytes)).toThrow(refusal(message));
  });
  it('answers any change of one byte with the tensors or BadData, never with another error', () => {
    const bytes = encodeSafetensors([f32('a', [2], [1, 2])], { k: 'v' });
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
        const changed = bytes.slice();
        changed[at] = value;
        try {
          decodeSafetensors(changed);
        } catch (error) {
          expect(error).toMatchObject({ code: 'BadData' });
        }
      }),
    );
  });
  it('refuses to write a tensor whose shape does not fit, and a name used twice', () => {
    expect(() => encodeSafetensors([f32('a', [3], [1])])).toThrow(refusal('tensor a: expected F32 of shape [3], got 1 elements'));
    expect(() => encodeSafetensors([f32('a', [1], [1]), f32('a', [1], [1])])).toThrow(refusal('expected a name that is used once'));
  });
});
