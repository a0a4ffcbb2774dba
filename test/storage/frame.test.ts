import { createHash } from 'node:crypto';
import { checksumOf } from '../../storage/checksum';
import { sha256Hex } from '../../storage/digest';
import { exchangeFrames, objectFrames } from '../../storage/frame';

const value = Buffer.from('a value of some length');

it('frames an object with magic, version, length and SHA-256, 48 bytes in all', () => {
  const digest = createHash('sha256').update(value).digest('hex');
  expect(Buffer.from(objectFrames.frameOf([value]).header).toString('hex')).toBe(`736d6c74010000001600000000000000${digest}`);
  expect(objectFrames.headerBytes).toBe(48);
  expect(sha256Hex('a value ', value.subarray(8))).toBe(digest);
});

it('frames a value of the exchange with magic, version, length and checksum, 24 bytes in all', () => {
  const { header } = exchangeFrames.frameOf([Buffer.from('12345'), Buffer.from('6789')]);
  expect(Buffer.from(header).toString('hex')).toBe(`736d6c78020000000900000000000000${checksumOf([Buffer.from('123456789')])}`);
  expect(exchangeFrames.headerBytes).toBe(24);
});

describe.each(Object.entries({ objectFrames, exchangeFrames }))('%s', (_name, frames) => {
  const framed = Buffer.concat([frames.frameOf([value]).header, value]);
  const changed = (at: number) => Buffer.from(framed).fill((framed[at] ?? 0) ^ 1, at, at + 1);

  it('gives the same header for any cut into parts', () => {
    expect(frames.frameOf([value.subarray(0, 5), Buffer.alloc(0), value.subarray(5)])).toEqual(frames.frameOf([value]));
  });

  it('decodes what it encodes, at offset 0 of a buffer of its own', () => {
    const decoded = frames.decode(framed, 'it');
    expect(Buffer.compare(decoded, value)).toBe(0);
    expect(decoded.byteOffset).toBe(0);
    expect(decoded.buffer).not.toBe(framed.buffer);
    expect(frames.decode(frames.frameOf([]).header, 'it')).toHaveLength(0);
  });

  it('takes no change of any single bit, byte by byte', () => {
    for (let at = 0; at < framed.length; at++) expect(() => frames.decode(changed(at), 'runs/r/x')).toThrow(/runs\/r\/x/);
  });

  it('takes no shorter and no longer frame', () => {
    for (let length = 0; length < framed.length; length++)
      expect(() => frames.decode(framed.subarray(0, length), 'it')).toThrow(expect.objectContaining({ code: 'ObjectCorrupt' }));
    expect(() => frames.decode(Buffer.concat([framed, Buffer.alloc(1)]), 'it')).toThrow('it: expected 22 bytes after the header, got 23');
  });

  it('tells another version from damage, and says both versions', () => {
    const other = Buffer.from(framed);
    other.writeUInt32LE(frames.version + 1, 4);
    expect(() => frames.parseHeader(other, other.length, 'it')).toThrow(
      expect.objectContaining({
        code: 'VersionSkew',
        retryable: false,
        message: `it: written in format version ${frames.version + 1}; this smlt reads and writes version ${frames.version}`,
      }),
    );
  });
});
