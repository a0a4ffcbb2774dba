/*
 * WebAssembly memories that vectors lie in, known by their buffer: another room's module may then work on a vector where it
 * is, instead of on a copy.
 */

export interface SharedMemory {
  /** The WebAssembly.Memory. */
  readonly memory: object;
  /** Bytes for a moment's work: whoever is called uses them until it returns. */
  readonly scratch: Uint8Array;
}

const shared = new WeakMap<ArrayBufferLike, SharedMemory>();

export function shareMemory(memory: SharedMemory): void {
  shared.set(memory.scratch.buffer, memory);
}
export function sharedMemoryOf(buffer: ArrayBufferLike): SharedMemory | undefined {
  return shared.get(buffer);
}
