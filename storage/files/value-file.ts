import { closeSync, fstatSync, ftruncateSync, openSync, readSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { SmltError } from '../../contracts/errors';
import { exchangeFrames, type Frame, type FrameHeader } from '../frame';
import { fileFault, isAbsent } from './faults';

/*
 * One value as one file: a frame. Everything is synchronous: a system call on tmpfs takes microseconds, and handing it to
 * a thread costs several times that.
 */

/** What one system call moves: a piece is still in the processor's cache when it is written, or when its checksum is made. */
const pieceBytes = 2 ** 18;

/** Writes a file that nobody reads yet, over what is in it where it is there, and makes its checksum on the way. */
export function writeFile(path: string, parts: readonly Uint8Array[], content: 'new' | 'overwritten'): Frame {
  const file = openSync(path, content === 'new' ? 'w' : 'r+', 0o600);
  try {
    const frame = exchangeFrames.frameOf(writtenPieces(file, parts));
    writeFully(file, frame.header, 0);
    if (content === 'overwritten') ftruncateSync(file, exchangeFrames.headerBytes + frame.bytes);
    return frame;
  } finally {
    closeSync(file);
  }
}

/** Writes each piece when its user asks for the next one. */
function* writtenPieces(file: number, parts: readonly Uint8Array[]): Iterable<Uint8Array> {
  let position = exchangeFrames.headerBytes;
  for (const part of parts)
    for (let at = 0; at < part.byteLength; at += pieceBytes) {
      const piece = part.subarray(at, at + pieceBytes);
      yield piece;
      writeFully(file, piece, position);
      position += piece.byteLength;
    }
}

/** A write may stop half-way, at a signal or a full disk; goes on behind what was taken. */
function writeFully(file: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.byteLength;) at += writeSync(file, bytes, at, bytes.byteLength - at, position + at);
}

/**
 * Undefined when there is no such value, or only a corrupt one, which is then deleted: its publisher makes it again. So it
 * is where the name went while it was read: the file may be another value's since (spare-files.ts).
 */
export function withFile<T>(path: string, use: (file: number) => T): T | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw fileFault(error, path);
  }
  try {
    const result = use(file);
    return isNamed(path, file) ? result : undefined;
  } catch (error) {
    if (!isNamed(path, file)) return undefined;
    if (!(error instanceof SmltError) || error.code !== 'ObjectCorrupt') throw fileFault(error, path);
    removeFile(path);
    return undefined;
  } finally {
    closeSync(file);
  }
}

function isNamed(path: string, file: number): boolean {
  const named = statSync(path, { throwIfNoEntry: false });
  if (named === undefined) return false;
  const { ino, dev } = fstatSync(file);
  return named.ino === ino && named.dev === dev;
}

export function readHeader(file: number, path: string): FrameHeader {
  const { size } = fstatSync(file);
  return exchangeFrames.parseHeader(readFully(file, new Uint8Array(Math.min(size, exchangeFrames.headerBytes)), 0), size, path);
}

export function readValue(file: number, into: Uint8Array, header: FrameHeader, path: string): Uint8Array {
  exchangeFrames.checkParts(readPieces(file, into), header, path);
  return into;
}

/** Fills the buffer piece by piece; ends early when the file does. */
function* readPieces(file: number, into: Uint8Array): Iterable<Uint8Array> {
  for (let at = 0; at < into.byteLength; at += pieceBytes) {
    const piece = into.subarray(at, at + pieceBytes);
    const read = readFully(file, piece, exchangeFrames.headerBytes + at);
    yield read;
    if (read.byteLength < piece.byteLength) return;
  }
}

/** Fills the buffer from a position; shorter when the file ends. */
function readFully(file: number, into: Uint8Array, position: number): Uint8Array {
  let filled = 0;
  while (filled < into.byteLength) {
    const taken = readSync(file, into, filled, into.byteLength - filled, position + filled);
    if (taken === 0) break;
    filled += taken;
  }
  return filled === into.byteLength ? into : into.subarray(0, filled);
}

export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!isAbsent(error)) throw fileFault(error, path);
  }
}

/** True when the file was old enough to go. */
export function removeOld(path: string, borderMs: number): boolean {
  const info = statSync(path, { throwIfNoEntry: false });
  if (info === undefined || info.mtimeMs >= borderMs) return false;
  removeFile(path);
  return true;
}
