import { SmltError } from '../contracts/errors';

/*
 * NumPy's .npy files, versions 1 to 3, C order, little-endian numbers. Source: numpy/lib/format.py.
 */

export interface NpyArray {
  readonly shape: readonly number[];
  readonly dtype: string;
  /** Integers of 64 bits become doubles; one that a double cannot hold is refused. */
  readonly data: Float32Array | Float64Array;
}

const bad = (message: string, options?: ErrorOptions) => new SmltError('BadData', `.npy: ${message}`, options);

type Reader = (view: DataView, offset: number) => number;
const readers: Record<string, { readonly bytes: number; readonly read: Reader }> = {
  f4: { bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  f8: { bytes: 8, read: (view, at) => view.getFloat64(at, true) },
  i1: { bytes: 1, read: (view, at) => view.getInt8(at) },
  i2: { bytes: 2, read: (view, at) => view.getInt16(at, true) },
  i4: { bytes: 4, read: (view, at) => view.getInt32(at, true) },
  i8: { bytes: 8, read: (view, at) => exact(view.getBigInt64(at, true)) },
  u1: { bytes: 1, read: (view, at) => view.getUint8(at) },
  u2: { bytes: 2, read: (view, at) => view.getUint16(at, true) },
  u4: { bytes: 4, read: (view, at) => view.getUint32(at, true) },
  u8: { bytes: 8, read: (view, at) => exact(view.getBigUint64(at, true)) },
  b1: { bytes: 1, read: (view, at) => view.getUint8(at) },
};

function exact(value: bigint): number {
  const number = Number(value);
  if (BigInt(number) !== value) throw bad(`value ${value}: expected whole numbers up to 2^53`);
  return number;
}

/** Reads one array. @throws {SmltError} `BadData` saying what is wrong and what is expected */
export function decodeNpy(bytes: Uint8Array): NpyArray {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 10 || bytes[0] !== 0x93 || ascii(bytes.subarray(1, 6)) !== 'NUMPY')
    throw bad('the file does not start as an .npy file does; save it with numpy.save');
  const major = bytes[6]!;
  if (major < 1 || major > 3) throw bad(`format version ${major}.${bytes[7]}: expected 1, 2 or 3`);
  const start = major === 1 ? 10 : 12;
  const headerBytes = major === 1 ? view.getUint16(8, true) : bytes.length < 12 ? Infinity : view.getUint32(8, true);
  if (start + headerBytes > bytes.length) throw bad(`header of ${headerBytes} bytes in a file of ${bytes.length}: the file is cut off`);
  const { dtype, shape } = parseHeader(ascii(bytes.subarray(start, start + headerBytes)));

  const reader = readers[dtype.slice(1)]!;
  const count = shape.reduce((size, axis) => size * axis, 1);
  const body = start + headerBytes;
  const expected = count * reader.bytes;
  if (bytes.length - body !== expected)
    throw bad(`${dtype} of shape (${shape.join(', ')}): expected ${expected} bytes of data, got ${bytes.length - body}`);
  const data = dtype.endsWith('f4') ? new Float32Array(count) : new Float64Array(count);
  for (let i = 0, at = body; i < count; i++, at += reader.bytes) data[i] = reader.read(view, at);
  return { shape, dtype, data };
}

/** The header is a Python dict literal: `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`. */
function parseHeader(header: string): { dtype: string; shape: number[] } {
  const dtype = /'descr'\s*:\s*'([^']*)'/.exec(header)?.[1];
  const fortran = /'fortran_order'\s*:\s*(True|False)/.exec(header)?.[1];
  const shape = /'shape'\s*:\s*\(([\d,\sL]*)\)/.exec(header)?.[1];
  if (fortran === undefined || shape === undefined)
    throw bad(`header ${JSON.stringify(header.slice(0, 120))}: expected descr, fortran_order and shape`);
  if (dtype === undefined) throw bad('an array of records: expected an array of numbers; save its columns as one float32 array');
  if (dtype.startsWith('>')) throw bad(`dtype ${dtype}: expected little-endian; convert with array.astype(array.dtype.newbyteorder("<"))`);
  if (!/^[<|=]/.test(dtype) || !Object.hasOwn(readers, dtype.slice(1)))
    throw bad(`dtype ${dtype}: expected float32, float64, whole numbers or booleans; convert with array.astype("float32")`);
  if (fortran === 'True') throw bad('Fortran order: expected C order; convert with numpy.ascontiguousarray(array)');
  const axes = shape.split(',').map((axis) => axis.trim().replace(/L$/, ''));
  return { dtype, shape: axes.filter((axis) => axis !== '').map(Number) };
}

function ascii(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
