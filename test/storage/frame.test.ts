import { createHash } from 'node:crypto';
import { sha256Hex } from '../../storage/digest';
import { decodeFrame, formatVersion, frameOf, headerBytes, parseHeader } from '../../storage/frame';

const value = Buffer.from('a value of some length');
const framed = Buffer.concat([frameOf([value]).header, value]);
const changed = (at: number) => Buffer.from(framed).fill((framed[at] ?? 0) ^ 1, at, at + 1);

describe('frame', () => {
  it('is magic, version, length and SHA-256, 48 bytes in all, the same for any cut into parts', () => {
    const digest = createHash('sha256').update(value).digest('hex');
    const header = Buffer.from(frameOf([value]).header);
    expect(header.toString('hex')).toBe(`736d6c74010000001600000000000000${digest}`);
    expect(header).toHaveLength(headerBytes);
    expect(frameOf([value.subarray(0, 5), Buffer.alloc(0), value.subarray(5)])).toEqual(frameOf([value]));
    expect(sha256Hex('a value ', value.subarray(8))).toBe(digest);
  });

  it('decodes what it encodes, at offset 0 of a buffer of its own', () => {
    const decoded = decodeFrame(framed, 'it');
    expect(Buffer.compare(decoded, value)).toBe(0);
    expect(decoded.byteOffset).toBe(0);
    expect(decoded.buffer).not.toBe(framed.buffer);
    expect(decodeFrame(frameOf([]).header, 'it')).toHaveLength(0);
  });

  it('takes no change of any single bit, byte by byte', () => {
    for (let at = 0; at < framed.length; at++) expect(() => decodeFrame(changed(at), 'runs/r/x')).toThrow(/runs\/r\/x/);
  });

  it('takes no shorter and no longer frame', () => {
    for (let length = 0; length < framed.length; length++)
      expect(() => decodeFrame(framed.subarray(0, length), 'it')).toThrow(expect.objectContaining({ code: 'ObjectCorrupt' }));
    expect(() => decodeFrame(Buffer.concat([framed, Buffer.alloc(1)]), 'it')).toThrow('it: expected 22 bytes after the header, got 23');
  });

  it('tells another version from damage, and says both versions', () => {
    const other = Buffer.from(framed);
    other.writeUInt32LE(formatVersion + 1, 4);
    expect(() => parseHeader(other, other.length, 'it')).toThrow(
      expect.objectContaining({
        code: 'VersionSkew',
        retryable: false,
        message: 'it: written in format version 2; this smlt reads and writes version 1',
      }),
    );
  });
});
