import { sharedMemoryOf } from '../../contracts/shared-memory';
import { checksumWasm } from './wasm';

/*
 * Values of the exchange live for a step or two, and are checked at every read: that must not cost as much as moving them.
 * CRC-32 by zlib takes 0.14 ms a MB, a socket 0.15; this takes 0.05 (docs/decisions/0032).
 * 1. The bytes are 32-bit words, little-endian, filled up with zeros to a multiple of 8 words. Word i goes to lane i mod 8.
 * 2. Each lane has two sums modulo 2^64: of its words, and of the first sum after each word (Fletcher; ZFS checks its blocks so).
 * 3. The lanes' first sums as digits to an odd base, modulo 2^32, are the first half of the checksum: a change of any one
 *    word changes it. The second sums, joined the same way, and the length are mixed to the other half: it sees order and place.
 * Damage of more words is missed once in 2^64 times, if it is not made on purpose.
 */

// The part of the WebAssembly API used here, which the types of Node leave to those of browsers.
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { readonly exports: object };
  Memory: new (limits: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
};

interface Checksum {
  begin(): void;
  take(from: number, bytes: number): void;
  ofWords(): number;
  ofSums(bytes: number): number;
}
/** The kernel in one memory, and where in it bytes are put that lie elsewhere. */
interface Opened {
  readonly kernel: Checksum;
  readonly block: Uint8Array;
}

/** Copied block by block: a block stays in the processor's cache. */
const blockBytes = 32_768;
const stepBytes = 32;

let compiled: object | undefined;
const openedIn = new WeakMap<ArrayBufferLike, Opened>();
let own: Opened | undefined;

function open(memory: object, block: Uint8Array): Opened {
  compiled ??= new WebAssembly.Module(Buffer.from(checksumWasm, 'base64'));
  const { exports } = new WebAssembly.Instance(compiled, { env: { memory } });
  return { kernel: exports as Checksum, block };
}
function openOwn(): Opened {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  return open(memory, new Uint8Array(memory.buffer, 0, blockBytes));
}
/** In the memory that the bytes lie in, where it is shared. */
function openFor(bytes: Uint8Array | undefined): Opened {
  const known = bytes && openedIn.get(bytes.buffer);
  if (known) return known;
  const shared = bytes && sharedMemoryOf(bytes.buffer);
  if (!shared || shared.scratch.byteLength < blockBytes) return (own ??= openOwn());
  const opened = open(shared.memory, shared.scratch.subarray(0, blockBytes));
  openedIn.set(bytes.buffer, opened);
  return opened;
}

/**
 * Of the parts, one after the other: 16 hex digits. Who makes a part when it is asked for, and uses it before the next,
 * finds it in the processor's cache; nothing that is done meanwhile may need a checksum itself. What lies in a shared memory,
 * as vectors do, is not copied.
 */
export function checksumOf(parts: Iterable<Uint8Array>): string {
  let opened: Opened | undefined;
  let filled = 0;
  let bytes = 0;
  for (const part of parts) {
    if (opened === undefined) (opened = openFor(part)).kernel.begin();
    const { kernel, block } = opened;
    bytes += part.byteLength;
    let at = 0;
    if (filled === 0 && part.buffer === block.buffer) {
      at = part.byteLength - (part.byteLength % stepBytes);
      kernel.take(part.byteOffset, at);
    }
    while (at < part.byteLength) {
      const taken = Math.min(blockBytes - filled, part.byteLength - at);
      block.set(part.subarray(at, at + taken), filled);
      at += taken;
      filled += taken;
      if (filled === blockBytes) {
        kernel.take(block.byteOffset, blockBytes);
        filled = 0;
      }
    }
  }
  if (opened === undefined) (opened = openFor(undefined)).kernel.begin();
  const { kernel, block } = opened;
  const end = Math.ceil(filled / stepBytes) * stepBytes;
  block.fill(0, filled, end);
  kernel.take(block.byteOffset, end);
  return hex(kernel.ofWords()) + hex(kernel.ofSums(bytes));
}

const hex = (word: number) => (word >>> 0).toString(16).padStart(8, '0');
