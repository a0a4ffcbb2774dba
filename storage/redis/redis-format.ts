import { exchangeFrames, type FrameHeader } from '../frame';

/** Redis moves values of this size best (docs/stores.md). Part of the format: a change needs another format version. */
export const chunkBytes = 2 ** 20;

export function chunkCount(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / chunkBytes));
}

/**
 * The header of a head that has so many bytes, the first part of the value included.
 * @throws {SmltError} `ObjectCorrupt`, `VersionSkew`
 */
export function headerOf(header: Uint8Array, headBytes: number, name: string): FrameHeader {
  const { headerBytes } = exchangeFrames;
  const first = headBytes - headerBytes;
  const stored = exchangeFrames.parseHeader(header.subarray(0, Math.min(headBytes, headerBytes)), first === chunkBytes ? undefined : headBytes, name);
  if (first === chunkBytes && stored.bytes < chunkBytes) exchangeFrames.parseHeader(header, headBytes, name);
  return stored;
}
