import { SmltError } from '../contracts/errors';
import { sha256Hex } from './digest';

/**
 * How a value lies in a store, whatever the store: a header of 48 bytes, then the value.
 *   0  4  magic 'smlt'
 *   4  4  format version, unsigned, little-endian
 *   8  8  bytes of the value, unsigned, little-endian
 *  16 32  SHA-256 of the value
 * The header says what the value must be, so a cut or changed value is never taken for the real one.
 */
export const headerBytes = 48;
export const formatVersion = 1;
const magic = Buffer.from('smlt', 'latin1');

export interface FrameHeader {
  readonly bytes: number;
  /** SHA-256 of the value, hex. */
  readonly sha256: string;
}
export interface Frame extends FrameHeader {
  readonly header: Uint8Array;
}

export function bytesOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.byteLength, 0);
}

/** The header of a value given in parts, which are written after it as they are: nothing is joined or copied. */
export function frameOf(parts: readonly Uint8Array[]): Frame {
  const bytes = bytesOf(parts);
  const sha256 = sha256Hex(...parts);
  const header = Buffer.alloc(headerBytes);
  magic.copy(header, 0);
  header.writeUInt32LE(formatVersion, 4);
  header.writeBigUInt64LE(BigInt(bytes), 8);
  header.write(sha256, 16, 'hex');
  return { header, bytes, sha256 };
}

/**
 * Reads a header against the size of what is stored.
 * @param where  what the value is called and where it lies, for the message
 * @throws {SmltError} `ObjectCorrupt` when it is cut or no frame at all, `VersionSkew` when another format version wrote it
 */
export function parseHeader(header: Uint8Array, storedBytes: number, where: string): FrameHeader {
  const view = Buffer.from(header.buffer, header.byteOffset, header.byteLength);
  if (view.length < headerBytes || !view.subarray(0, 4).equals(magic))
    throw new SmltError('ObjectCorrupt', `${where}: expected a value of smlt, got ${storedBytes} bytes that do not begin with its header`);
  const version = view.readUInt32LE(4);
  if (version !== formatVersion)
    throw new SmltError('VersionSkew', `${where}: written in format version ${version}; this smlt reads and writes version ${formatVersion}`);
  const bytes = Number(view.readBigUInt64LE(8));
  if (bytes !== storedBytes - headerBytes)
    throw new SmltError('ObjectCorrupt', `${where}: expected ${bytes} bytes after the header, got ${storedBytes - headerBytes}`);
  return { bytes, sha256: view.toString('hex', 16, headerBytes) };
}

/** @throws {SmltError} `ObjectCorrupt` when the value is not the one that its header describes */
export function checkValue(value: Uint8Array, { bytes, sha256 }: FrameHeader, where: string): Uint8Array {
  if (value.byteLength !== bytes) throw new SmltError('ObjectCorrupt', `${where}: expected ${bytes} bytes, got ${value.byteLength}`);
  const found = sha256Hex(value);
  if (found !== sha256)
    throw new SmltError(
      'ObjectCorrupt',
      `${where}: expected SHA-256 ${sha256.slice(0, 12)}..., the ${bytes} bytes there have ${found.slice(0, 12)}...`,
    );
  return value;
}

/** The value inside a whole frame, as a copy of its own, so that it starts at offset 0 and floats can be viewed in place. */
export function decodeFrame(framed: Uint8Array, where: string): Uint8Array {
  const header = parseHeader(framed.subarray(0, headerBytes), framed.byteLength, where);
  return checkValue(new Uint8Array(framed.subarray(headerBytes)), header, where);
}

/** What a second writer with other bytes is told. */
export function notDeterministic(where: string, stored: FrameHeader, offered: FrameHeader): SmltError {
  const describe = ({ bytes, sha256 }: FrameHeader) => `${bytes} bytes with SHA-256 ${sha256.slice(0, 12)}...`;
  return new SmltError('NotDeterministic', `${where}: stored are ${describe(stored)}, offered were ${describe(offered)}; one name has one value`);
}
