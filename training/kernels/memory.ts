import { shareMemory } from '../../contracts/shared-memory';
import { kernelsWasm } from './wasm';

/*
 * Where the WebAssembly kernels can reach. A vector that lies in a `KernelMemory` is worked on by its kernels; any other
 * by the JavaScript loop, with the same bits. So correctness never depends on where a vector lies, only speed does, and
 * sockets and files may read straight into these vectors.
 */

// The part of the WebAssembly API used here: the pure rooms are compiled without the types of any host.
interface WasmMemory {
  readonly buffer: ArrayBuffer;
}
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { readonly exports: object };
  Memory: new (limits: { initial: number; maximum: number }) => WasmMemory;
};
declare function atob(base64: string): string;

/** As training/kernels/assembly exports them: pointers are byte offsets, lengths count elements. */
export interface Kernels {
  add(out: number, a: number, b: number, length: number): void;
  divide(out: number, a: number, divisor: number, length: number): void;
  encodeBf16(out: number, a: number, length: number): void;
  decodeBf16(out: number, a: number, length: number): void;
  encodeFp16(out: number, a: number, length: number): void;
  decodeFp16(out: number, a: number, length: number): void;
}

const PAGE_BYTES = 65_536;
/** Pointers have 32 bits. */
const MOST_PAGES = 65_536;
/** A cache line, so that no two vectors share one. */
const ALIGNMENT = 64;
/** In front of all vectors, for whoever else works in this memory. */
const SCRATCH_BYTES = 32_768;

let compiled: object | undefined;
const compile = () => (compiled ??= new WebAssembly.Module(Uint8Array.from(atob(kernelsWasm), (character) => character.charCodeAt(0))));

const kernelsOfBuffer = new WeakMap<ArrayBufferLike, Kernels>();

/** The kernels that reach all of these vectors; undefined where one lies outside, or elsewhere than the others. */
export function kernelsFor(first: ArrayBufferView, ...others: readonly ArrayBufferView[]): Kernels | undefined {
  for (const { buffer } of others) if (buffer !== first.buffer) return undefined;
  return kernelsOfBuffer.get(first.buffer);
}

/** Where vectors come from and go back to. */
export interface Vectors {
  /** What was there before, or zeros: write before reading. */
  floats(length: number): Float32Array<ArrayBuffer>;
  /** Gives a vector back, which nobody may use any more. */
  release(vector: Float32Array): void;
}

/** Ordinary memory. Vectors are used again: fresh ones for every lane and step were most of a small model's time. */
export class HeapVectors implements Vectors {
  readonly #free = new Map<number, Float32Array<ArrayBuffer>[]>();
  floats(length: number): Float32Array<ArrayBuffer> {
    return this.#free.get(length)?.pop() ?? new Float32Array(length);
  }
  release(vector: Float32Array): void {
    const free = this.#free.get(vector.length) ?? [];
    this.#free.set(vector.length, free);
    free.push(vector as Float32Array<ArrayBuffer>);
  }
}

/**
 * Memory of a fixed size for vectors. It never grows, since growing would detach every view; pages that nobody writes to
 * cost nothing, so ask for what may be needed at most. What does not fit gets ordinary memory: the same bits, slower.
 */
export class KernelMemory implements Vectors {
  readonly #buffer: ArrayBuffer | undefined;
  /** By start; no two touch. */
  readonly #free: { start: number; end: number }[] = [];
  /** Sizes in bytes, by start. */
  readonly #taken = new Map<number, number>();

  /** @param bytes  capacity; less where a host has no room for it, and at most 4 GiB */
  constructor(bytes: number) {
    this.#buffer = allocate(bytes + SCRATCH_BYTES)?.buffer;
    if (this.#buffer) this.#free.push({ start: ALIGNMENT + SCRATCH_BYTES, end: this.#buffer.byteLength });
  }

  floats(length: number): Float32Array<ArrayBuffer> {
    const start = this.#take(4 * length);
    return start === undefined ? ordinaryVector(length) : new Float32Array(this.#buffer!, start, length);
  }

  /** Ordinary memory is left to the garbage collector. */
  release({ buffer, byteOffset }: Float32Array): void {
    if (buffer !== this.#buffer) return;
    if (!this.#taken.has(byteOffset))
      throw new Error(`no vector begins at byte ${byteOffset} of the kernels' memory: it was released before, or is a part of one`);
    this.#giveBack(byteOffset);
  }

  /** Takes back everything but these: what a piece of work that was broken off has left. */
  releaseAllBut(kept: readonly Float32Array[]): void {
    const starts = new Set(kept.flatMap(({ buffer, byteOffset }) => (buffer === this.#buffer ? [byteOffset] : [])));
    for (const start of [...this.#taken.keys()]) if (!starts.has(start)) this.#giveBack(start);
  }

  #take(bytes: number): number | undefined {
    const size = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
    const at = this.#free.findIndex(({ start, end }) => end - start >= size);
    if (at < 0) return undefined;
    const free = this.#free[at]!;
    const { start } = free;
    free.start += size;
    if (free.start === free.end) this.#free.splice(at, 1);
    this.#taken.set(start, size);
    return start;
  }

  #giveBack(start: number): void {
    const end = start + this.#taken.get(start)!;
    this.#taken.delete(start);
    let at = this.#free.findIndex((free) => free.start > start);
    if (at < 0) at = this.#free.length;
    const [before, after] = [this.#free[at - 1], this.#free[at]];
    if (before?.end === start && after?.start === end) {
      before.end = after.end;
      this.#free.splice(at, 1);
    } else if (before?.end === start) before.end = end;
    else if (after?.start === end) after.start = start;
    else this.#free.splice(at, 0, { start, end });
  }
}

/** @throws {RangeError} that says what was asked for */
function ordinaryVector(length: number): Float32Array<ArrayBuffer> {
  try {
    return new Float32Array(length);
  } catch (error) {
    const mib = Math.ceil((4 * length) / 2 ** 20);
    const what = `no room for a vector of ${length} floats (${mib} MiB): the kernels' memory, at most 4 GiB, is taken, and this host gives no other`;
    throw new RangeError(`${what}; give the function more memory, or train with more workers of fewer lanes`, { cause: error });
  }
}

/** As much as there is room for; undefined on a host without WebAssembly's SIMD, where everything works on ordinary memory. */
function allocate(bytes: number): WasmMemory | undefined {
  for (let pages = Math.min(MOST_PAGES, Math.ceil(bytes / PAGE_BYTES) + 1); pages > 0; pages >>= 1) {
    try {
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
      const { exports } = new WebAssembly.Instance(compile(), { env: { memory } });
      kernelsOfBuffer.set(memory.buffer, exports as Kernels);
      shareMemory({ memory, scratch: new Uint8Array(memory.buffer, ALIGNMENT, SCRATCH_BYTES) });
      return memory;
    } catch (error) {
      if ((error as Error).name === 'CompileError') return undefined;
      if ((error as Error).name !== 'RangeError') throw error;
    }
  }
  return undefined;
}
