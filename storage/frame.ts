import { SmltError } from '../contracts/errors';
import { checksumOf } from './checksum';
import { sha256Hex } from './digest';

/**
 * How a value lies in a store, whatever the store: a header, then the value.
 *   0  4  magic
 *   4  4  format version, unsigned, little-endian
 *   8  8  bytes of the value, unsigned, little-endian
 *  16     digest of the value, filled up with zeros to a multiple of 8
 * The header says what the value must be, so a cut or changed value is never taken for the real one.
 */
export interface FrameHeader {
  /** Bytes of the value, without the header. */
  readonly bytes: number;
  /** Of the value, hex. */
  readonly digest: string;
}
export interface Frame extends FrameHeader {
  readonly header: Uint8Array;
}

interface Format {
  /** Four characters. */
  readonly magic: string;
  readonly version: number;
  readonly digestName: string;
  readonly digestBytes: number;
  readonly digest: (parts: Iterable<Uint8Array>) => string;
}

const digestAt = 16;
/** What 32 bits count up to. */
const WORD = 2 ** 32;

export class FrameFormat {
  readonly headerBytes: number;
  readonly version: number;
  private readonly hasPadding: boolean;

  constructor(private readonly format: Format) {
    this.version = format.version;
    this.headerBytes = Math.ceil((digestAt + format.digestBytes) / 8) * 8;
    this.hasPadding = this.headerBytes > digestAt + format.digestBytes;
  }

  /** The header of a value given in parts, which are written after it as they are: nothing is joined or copied. */
  frameOf(parts: Iterable<Uint8Array>): Frame {
    const { magic, version } = this.format;
    const { bytes, digest } = this.headerOf(parts);
    const header = Buffer.alloc(this.headerBytes);
    header.write(magic, 0, 'latin1');
    header.writeUInt32LE(version, 4);
    header.writeUInt32LE(bytes % WORD, 8);
    header.writeUInt32LE(Math.floor(bytes / WORD), 12);
    header.write(digest, digestAt, 'hex');
    return { header, bytes, digest };
  }

  /**
   * Reads a header against the size of what is stored.
   * @param storedBytes  header included; undefined where that is checked elsewhere
   * @param where  what the value is called and where it lies, for the message
   * @throws {SmltError} `ObjectCorrupt` when it is cut or no frame at all, `VersionSkew` when another format version wrote it
   */
  parseHeader(header: Uint8Array, storedBytes: number | undefined, where: string): FrameHeader {
    const { magic, version, digestBytes } = this.format;
    const view = Buffer.from(header.buffer, header.byteOffset, header.byteLength);
    if (view.length < this.headerBytes || view.toString('latin1', 0, 4) !== magic)
      throw new SmltError(
        'ObjectCorrupt',
        `${where}: expected a value of smlt, got ${storedBytes ?? view.length} bytes that do not begin with its header`,
      );
    const written = view.readUInt32LE(4);
    if (written !== version)
      throw new SmltError('VersionSkew', `${where}: written in format version ${written}; this smlt reads and writes version ${version}`);
    const bytes = view.readUInt32LE(8) + WORD * view.readUInt32LE(12);
    if (storedBytes !== undefined && bytes !== storedBytes - this.headerBytes)
      throw new SmltError('ObjectCorrupt', `${where}: expected ${bytes} bytes after the header, got ${storedBytes - this.headerBytes}`);
    if (this.hasPadding && view.subarray(digestAt + digestBytes, this.headerBytes).some((byte) => byte !== 0))
      throw new SmltError('ObjectCorrupt', `${where}: the header ends with bytes that should be zero`);
    return { bytes, digest: view.toString('hex', digestAt, digestAt + digestBytes) };
  }

  /** @throws {SmltError} `ObjectCorrupt` when the value is not the one that its header describes */
  checkValue<T extends Uint8Array>(value: T, header: FrameHeader, where: string): T {
    this.checkParts([value], header, where);
    return value;
  }

  /** The same of a value in parts. */
  checkParts(parts: Iterable<Uint8Array>, { bytes, digest }: FrameHeader, where: string): void {
    const found = this.headerOf(parts);
    if (found.bytes !== bytes) throw new SmltError('ObjectCorrupt', `${where}: expected ${bytes} bytes, got ${found.bytes}`);
    if (found.digest !== digest)
      throw new SmltError('ObjectCorrupt', `${where}: expected ${this.named(digest)}, the ${bytes} bytes there have ${this.named(found.digest)}`);
  }

  /** The value inside a whole frame, as a copy of its own, so that it starts at offset 0 and floats can be viewed in place. */
  decode(framed: Uint8Array, where: string): Uint8Array {
    const header = this.parseHeader(framed.subarray(0, this.headerBytes), framed.byteLength, where);
    return this.checkValue(new Uint8Array(framed.subarray(this.headerBytes)), header, where);
  }

  /** What a second writer with other bytes is told. */
  notDeterministic(where: string, stored: FrameHeader, offered: FrameHeader): SmltError {
    const describe = ({ bytes, digest }: FrameHeader) => `${bytes} bytes with ${this.named(digest)}`;
    return new SmltError('NotDeterministic', `${where}: stored are ${describe(stored)}, offered were ${describe(offered)}; one name has one value`);
  }

  private headerOf(parts: Iterable<Uint8Array>): FrameHeader {
    if (Array.isArray(parts)) return { bytes: bytesOf(parts as Uint8Array[]), digest: this.format.digest(parts as Uint8Array[]) };
    let bytes = 0;
    const counted = function* () {
      for (const part of parts) {
        bytes += part.byteLength;
        yield part;
      }
    };
    const digest = this.format.digest(counted());
    return { bytes, digest };
  }

  private named(digest: string): string {
    return `${this.format.digestName} ${digest.length > 12 ? `${digest.slice(0, 12)}...` : digest}`;
  }
}

/** Objects last, and manifests and model cards name them by this digest. */
export const objectFrames = new FrameFormat({
  magic: 'smlt',
  version: 1,
  digestName: 'SHA-256',
  digestBytes: 32,
  digest: (parts) => sha256Hex(...parts),
});

/** Values of the exchange live for a step or two; what they have become, the checkpoint of every round, is compared by SHA-256. */
export const exchangeFrames = new FrameFormat({
  magic: 'smlx',
  version: 2,
  digestName: 'checksum',
  digestBytes: 8,
  digest: checksumOf,
});

export function bytesOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.byteLength, 0);
}

/** A value of another length than its reader expects is no fault of the store: somebody has the name wrong. */
export function checkRoom<T extends { readonly bytes: number }>(header: T, into: { readonly byteLength: number }, name: string): T {
  if (header.bytes !== into.byteLength)
    throw new RangeError(`${name}: the value has ${header.bytes} bytes, its reader has room for ${into.byteLength}`);
  return header;
}
