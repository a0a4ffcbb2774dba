import { SmltError } from '../contracts/errors';
import { fromBfloat16, fromFloat16 } from './onnx/half';

/*
 * The safetensors format (huggingface/safetensors, README "Format"): u64 header length, JSON header, then the bytes of all
 * tensors without holes. Little-endian, like every host that smlt runs on.
 */

const dtypes = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  U32: Uint32Array,
  I16: Int16Array,
  U16: Uint16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const;
export type Dtype = keyof typeof dtypes;
export type TensorData = Float64Array | Float32Array | BigInt64Array | Int32Array | Uint32Array | Int16Array | Uint16Array | Int8Array | Uint8Array;

export interface SafeTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Halves (F16, BF16) are their bits: `floatsFrom` reads them. */
  readonly data: TensorData;
}
export interface SafeFile {
  readonly tensors: ReadonlyMap<string, SafeTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

export const isFloatDtype = (dtype: Dtype): boolean => dtype === 'F64' || dtype === 'F32' || dtype === 'F16' || dtype === 'BF16';

/** A tensor's elements as float32, rounded where they are wider; whole numbers stay exact below 2^24. */
export function floatsFrom({ dtype, data }: SafeTensor): Float32Array {
  if (data instanceof Float32Array) return data;
  if (dtype === 'F16' || dtype === 'BF16') return Float32Array.from(data as Uint16Array, dtype === 'F16' ? fromFloat16 : fromBfloat16);
  return data instanceof BigInt64Array ? Float32Array.from(data, Number) : Float32Array.from(data);
}

/** The specification's own limit. */
const MAX_HEADER_BYTES = 100_000_000;
const product = (shape: readonly number[]) => shape.reduce((size, axis) => size * axis, 1);
const bad = (message: string, options?: ErrorOptions) => new SmltError('BadData', `safetensors: ${message}`, options);

/** Writes tensors in the given order; widest types first, so that each lies on its own alignment. Same input, same bytes. */
export function encodeSafetensors(tensors: readonly SafeTensor[], metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  const ordered = [...tensors].sort((a, b) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT);
  const header: Record<string, unknown> = Object.create(null); // a tensor may be called __proto__
  if (Object.keys(metadata).length > 0) header.__metadata__ = metadata;
  let offset = 0;
  for (const { name, dtype, shape, data } of ordered) {
    if (name === '__metadata__' || Object.hasOwn(header, name)) throw bad(`tensor ${name}: expected a name that is used once`);
    if (product(shape) !== data.length || !(data instanceof dtypes[dtype]))
      throw bad(`tensor ${name}: expected ${dtype} of shape [${shape.join(', ')}], got ${data.length} elements of ${data.constructor.name}`);
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const text = asciiJson(header);
  const headerBytes = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + headerBytes + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  for (let i = 0; i < headerBytes; i++) bytes[8 + i] = i < text.length ? text.charCodeAt(i) : 0x20;
  let at = 8 + headerBytes;
  for (const { data } of ordered) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

/**
 * Reads a file, refusing whatever the format does not allow: no hole, no overlap, no byte left over.
 * Tensors are views of `bytes` where alignment allows, else copies. @throws {SmltError} `BadData`
 */
export function decodeSafetensors(bytes: Uint8Array): SafeFile {
  if (bytes.length < 8) throw bad(`expected at least 8 bytes, got ${bytes.length}`);
  const headerBytes = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
  if (headerBytes > MAX_HEADER_BYTES || 8 + headerBytes > bytes.length)
    throw bad(
      `header of ${headerBytes} bytes: expected at most ${Math.min(MAX_HEADER_BYTES, bytes.length - 8)}; the file is cut off or not safetensors`,
    );
  const header = parseHeader(bytes.subarray(8, 8 + headerBytes));
  const body = bytes.subarray(8 + headerBytes);
  const metadata: Record<string, string> = Object.create(null);
  const entries: { name: string; dtype: Dtype; shape: number[]; start: number; end: number }[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') {
      if (!isRecord(value)) throw bad('__metadata__: expected an object of strings');
      for (const [key, text] of Object.entries(value)) {
        if (typeof text !== 'string') throw bad(`__metadata__.${key}: expected a string`);
        metadata[key] = text;
      }
    } else entries.push({ name, ...readEntry(name, value) });
  }
  entries.sort((a, b) => a.start - b.start || a.end - b.end);
  let reached = 0;
  const tensors = new Map<string, SafeTensor>();
  for (const { name, dtype, shape, start, end } of entries) {
    if (start !== reached) throw bad(`tensor ${name}: starts at byte ${start}, expected ${reached}: tensors may not overlap or leave holes`);
    if (end > body.length) throw bad(`tensor ${name}: ends at byte ${end} of ${body.length}: the file is cut off`);
    reached = end;
    tensors.set(name, { name, dtype, shape, data: viewOf(dtype, body.subarray(start, end)) });
  }
  if (reached !== body.length) throw bad(`expected ${reached} bytes of tensors, got ${body.length}`);
  return { tensors, metadata };
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(utf8(bytes));
  } catch (cause) {
    throw bad('the header is not JSON: the file is damaged or not safetensors', { cause });
  }
  if (!isRecord(parsed)) throw bad('the header is not a JSON object');
  return parsed;
}

function readEntry(name: string, value: unknown): { dtype: Dtype; shape: number[]; start: number; end: number } {
  if (!isRecord(value)) throw bad(`tensor ${name}: expected dtype, shape and data_offsets`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !Object.hasOwn(dtypes, dtype))
    throw bad(`tensor ${name}: dtype ${JSON.stringify(dtype)}: expected one of ${Object.keys(dtypes).join(', ')}`);
  if (!isCounts(shape)) throw bad(`tensor ${name}: shape ${JSON.stringify(shape)}: expected a list of whole numbers from 0`);
  if (!isCounts(offsets) || offsets.length !== 2) throw bad(`tensor ${name}: data_offsets ${JSON.stringify(offsets)}: expected [start, end]`);
  const [start, end] = offsets as [number, number];
  const expected = product(shape) * dtypes[dtype as Dtype].BYTES_PER_ELEMENT;
  if (end - start !== expected) throw bad(`tensor ${name}: ${dtype} of shape [${shape.join(', ')}]: expected ${expected} bytes, got ${end - start}`);
  return { dtype: dtype as Dtype, shape, start, end };
}

/** A typed view of little-endian bytes; a copy where they do not lie on the type's alignment. */
function viewOf(dtype: Dtype, bytes: Uint8Array): TensorData {
  const type = dtypes[dtype];
  const aligned = bytes.byteOffset % type.BYTES_PER_ELEMENT === 0 ? bytes : new Uint8Array(bytes);
  return new type(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / type.BYTES_PER_ELEMENT);
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
const isCounts = (value: unknown): value is number[] => Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);

/** JSON in ASCII: pure rooms have no TextEncoder, and ASCII is UTF-8 already. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(/[\u007f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Strict UTF-8 without TextDecoder. @throws {URIError} on a malformed sequence */
function utf8(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    parts.push(byte < 0x80 && byte !== 0x25 ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, '0')}`);
  }
  return decodeURIComponent(parts.join(''));
}
