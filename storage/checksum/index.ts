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
  take(bytes: number): void;
  ofWords(): number;
  ofSums(bytes: number): number;
}

/** Copied into the module's own memory block by block: a block stays in the processor's cache. */
const blockBytes = 32_768;
const stepBytes = 32;

let opened: { kernel: Checksum; block: Uint8Array } | undefined;
function open(): { kernel: Checksum; block: Uint8Array } {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(checksumWasm, 'base64')), { env: { memory } });
  return { kernel: exports as Checksum, block: new Uint8Array(memory.buffer, 0, blockBytes) };
}

/**
 * Of the parts, one after the other: 16 hex digits. Who makes a part when it is asked for, and uses it before the next,
 * finds it in the processor's cache; nothing that is done meanwhile may need a checksum itself.
 */
export function checksumOf(parts: Iterable<Uint8Array>): string {
  const { kernel, block } = (opened ??= open());
  kernel.begin();
  let filled = 0;
  let bytes = 0;
  for (const part of parts) {
    bytes += part.byteLength;
    for (let at = 0; at < part.byteLength;) {
      const taken = Math.min(blockBytes - filled, part.byteLength - at);
      block.set(part.subarray(at, at + taken), filled);
      at += taken;
      filled += taken;
      if (filled === blockBytes) {
        kernel.take(blockBytes);
        filled = 0;
      }
    }
  }
  const end = Math.ceil(filled / stepBytes) * stepBytes;
  block.fill(0, filled, end);
  kernel.take(end);
  return hex(kernel.ofWords()) + hex(kernel.ofSums(bytes));
}

const hex = (word: number) => (word >>> 0).toString(16).padStart(8, '0');
