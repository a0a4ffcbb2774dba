import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  readvSync,
  statSync,
  unlinkSync,
  writeSync,
  writevSync,
  type Stats,
} from 'node:fs';
import { SmltError } from '../../contracts/errors';
import { bytesOf, exchangeFrames, type Frame, type FrameHeader } from '../frame';
import { fileFault, isAbsent } from './faults';

/*
 * One value as one file: a frame. Everything is synchronous: a system call on tmpfs takes microseconds, and handing it to
 * a thread costs several times that.
 */

/** What one system call moves: a piece is still in the processor's cache when it is written, or when its checksum is made. */
const pieceBytes = 2 ** 18;
const { headerBytes } = exchangeFrames;

/** Writes a file that nobody reads yet, over what is in it where it is there, and makes its checksum on the way. */
export function writeFile(path: string, parts: readonly Uint8Array[], content: 'new' | 'overwritten'): Frame {
  const file = openSync(path, content === 'new' ? 'w' : 'r+', 0o600);
  try {
    const frame = writeAtOnce(file, parts) ?? writePieces(file, parts);
    if (content === 'overwritten') ftruncateSync(file, headerBytes + frame.bytes);
    return frame;
  } finally {
    closeSync(file);
  }
}

/** A small value, with its header, in one system call. */
function writeAtOnce(file: number, parts: readonly Uint8Array[]): Frame | undefined {
  if (bytesOf(parts) > pieceBytes) return undefined;
  const frame = exchangeFrames.frameOf(parts);
  return writevSync(file, [frame.header, ...parts], 0) === headerBytes + frame.bytes ? frame : undefined;
}

function writePieces(file: number, parts: readonly Uint8Array[]): Frame {
  const frame = exchangeFrames.frameOf(writtenPieces(file, parts));
  writeFully(file, frame.header, 0);
  return frame;
}

/** Writes each piece when its user asks for the next one. */
function* writtenPieces(file: number, parts: readonly Uint8Array[]): Iterable<Uint8Array> {
  let position = headerBytes;
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
 * Reads a value to where it goes; nowhere when there is no room for one of its length.
 * Undefined when there is no such value, or only a corrupt one, which is then deleted: its publisher makes it again. So it
 * is where the name went while it was read: the file may be another value's since (spare-files.ts).
 */
export function readWhole(path: string, roomFor: (bytes: number) => Uint8Array | undefined): FrameHeader | undefined {
  return withFile(path, (file, size) => {
    const start = new Uint8Array(Math.min(size, headerBytes));
    const into = size >= headerBytes ? roomFor(size - headerBytes) : undefined;
    const first = into?.subarray(0, pieceBytes);
    const read = first ? readvSync(file, [start, first], 0) : readSync(file, start, 0, start.byteLength, 0);
    const header = exchangeFrames.parseHeader(start.subarray(0, read), size, path);
    if (into && first) exchangeFrames.checkParts(piecesOf(file, into, first.subarray(0, read - headerBytes)), header, path);
    return header;
  });
}

/** Only what a value's header says, with the same meaning of undefined. */
export function readHeader(path: string): FrameHeader | undefined {
  return existsSync(path) ? readWhole(path, () => undefined) : undefined;
}

function withFile<T>(path: string, use: (file: number, size: number) => T): T | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw fileFault(error, path);
  }
  try {
    const opened = fstatSync(file);
    try {
      const result = use(file, opened.size);
      return isNamed(path, opened) ? result : undefined;
    } catch (error) {
      if (!isNamed(path, opened)) return undefined;
      if (!(error instanceof SmltError) || error.code !== 'ObjectCorrupt') throw fileFault(error, path);
      removeFile(path);
      return undefined;
    }
  } finally {
    closeSync(file);
  }
}

function isNamed(path: string, { ino, dev }: Stats): boolean {
  const named = statSync(path, { throwIfNoEntry: false });
  return named !== undefined && named.ino === ino && named.dev === dev;
}

/** Fills the buffer piece by piece, of which the first is there already; ends early when the file does. */
function* piecesOf(file: number, into: Uint8Array, first: Uint8Array): Iterable<Uint8Array> {
  yield first;
  for (let at = first.byteLength; at < into.byteLength; at += pieceBytes) {
    const piece = into.subarray(at, at + pieceBytes);
    const read = readFully(file, piece, headerBytes + at);
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
