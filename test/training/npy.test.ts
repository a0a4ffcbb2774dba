import { decodeNpy } from '../../training/npy';

/** A file as numpy.save writes it. */
const npy = (descr: string, shape: string, body: Uint8Array, { major = 1, fortran = 'False' } = {}) => {
  const prefix = major === 1 ? 10 : 12;
  const text = `{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': ${shape}, }`;
  const header = text.padEnd(Math.ceil((prefix + text.length + 1) / 64) * 64 - prefix - 1) + '\n';
  const file = Buffer.alloc(prefix + header.length + body.length);
  file.write('\x93NUMPY', 'latin1');
  file[6] = major;
  if (major === 1) file.writeUInt16LE(header.length, 8);
  else file.writeUInt32LE(header.length, 8);
  file.write(header, prefix, 'latin1');
  file.set(body, prefix + header.length);
  return new Uint8Array(file);
};
const bytesOf = (data: ArrayBufferView) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
const refusal = (message: string) => expect.objectContaining({ code: 'BadData', message: expect.stringContaining(message) });

describe('.npy files', () => {
  it.each<[string, ArrayBufferView, number[]]>([
    ['<f4', Float32Array.of(1.5, -2, 0.1), [1.5, -2, Math.fround(0.1)]],
    ['<f8', Float64Array.of(1.5, -2, 0.1), [1.5, -2, 0.1]],
    ['|i1', Int8Array.of(1, -2, 3), [1, -2, 3]],
    ['|u1', Uint8Array.of(1, 2, 255), [1, 2, 255]],
    ['<i2', Int16Array.of(1, -2, 300), [1, -2, 300]],
    ['<u2', Uint16Array.of(1, 2, 65_535), [1, 2, 65_535]],
    ['<i4', Int32Array.of(1, -2, 70_000), [1, -2, 70_000]],
    ['<u4', Uint32Array.of(1, 2, 4_000_000_000), [1, 2, 4_000_000_000]],
    ['<i8', BigInt64Array.of(1n, -2n, 9_007_199_254_740_992n), [1, -2, 9_007_199_254_740_992]],
    ['<u8', BigUint64Array.of(1n, 2n, 3n), [1, 2, 3]],
    ['|b1', Uint8Array.of(1, 0, 1), [1, 0, 1]],
  ])('of %s are read', (dtype, data, values) => {
    const read = decodeNpy(npy(`'${dtype}'`, '(3,)', bytesOf(data)));
    expect({ ...read, data: [...read.data] }).toEqual({ dtype, shape: [3], data: values });
  });
  it.each([1, 2, 3])('of format version %i are read, of any rank', (major) => {
    expect(decodeNpy(npy("'<f4'", '(2, 1, 2)', bytesOf(Float32Array.of(1, 2, 3, 4)), { major })).shape).toEqual([2, 1, 2]);
    expect(decodeNpy(npy("'<f4'", '()', bytesOf(Float32Array.of(7)), { major }))).toMatchObject({ shape: [], data: Float32Array.of(7) });
    expect(decodeNpy(npy("'<f4'", '(0, 3)', new Uint8Array(), { major })).data).toHaveLength(0);
  });
  const body = bytesOf(Float32Array.of(1, 2));
  it.each<[string, Uint8Array, string]>([
    ['another file', new Uint8Array(100), 'does not start as an .npy file does'],
    ['an empty file', new Uint8Array(), 'does not start as an .npy file does'],
    ['a later version', npy("'<f4'", '(2,)', body, { major: 4 }), 'format version 4.0: expected 1, 2 or 3'],
    ['a file cut off in its header', npy("'<f4'", '(2,)', body).subarray(0, 40), 'the file is cut off'],
    ['a file cut off in its data', npy("'<f4'", '(2,)', body).subarray(0, -1), '<f4 of shape (2): expected 8 bytes of data, got 7'],
    ['big-endian numbers', npy("'>f4'", '(2,)', body), 'dtype >f4: expected little-endian'],
    ['complex numbers', npy("'<c8'", '(1,)', body), 'dtype <c8: expected float32'],
    ['text', npy("'<U2'", '(1,)', body), 'dtype <U2: expected float32'],
    ['objects', npy("'|O'", '(1,)', body), 'dtype |O: expected float32'],
    ['records', npy("[('a', '<f4')]", '(2,)', body), 'an array of records'],
    ['Fortran order', npy("'<f4'", '(1, 2)', body, { fortran: 'True' }), 'Fortran order: expected C order'],
    [
      'a whole number that a double cannot hold',
      npy("'<i8'", '(1,)', bytesOf(BigInt64Array.of(9_007_199_254_740_993n))),
      'expected whole numbers up to 2^53',
    ],
  ])('that are %s are refused', (_name, bytes, message) => {
    expect(() => decodeNpy(bytes)).toThrow(refusal(message));
  });
});
