/**
 * Randomness as a function: every bit follows from a key and a counter, so it never has to be stored, and any worker
 * makes the same. docs/lanes.md holds the definition and test vectors for other languages.
 */

/** First word of every key, so that no two uses of one seed share a stream. */
export const purposes = { shuffle: 1, noise: 2, initialParams: 3, dataSet: 4, quantisation: 6 } as const;

const { imul } = Math;
/** A bijection of 32-bit words in which every input bit flips half of the output bits. Source: C. Wellons, hash-prospector (bias 0.1). */
function mix(word: number): number {
  let x = word;
  x = imul(x ^ (x >>> 16), 0x21f0aaad);
  x = imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}

/** Digest of a list of 32-bit words: position and value of each word count. Returns 0 to 2^32 - 1. */
export function hash32(...words: number[]): number {
  let hash = 0x9e3779b9;
  for (const word of words) hash = mix((hash ^ word) + 0x9e3779b9);
  return hash;
}

/** The random words of one key. Two halves, so that no two streams are shifted copies of each other. */
export interface Stream {
  readonly first: number;
  readonly second: number;
}
export function streamOf(...key: number[]): Stream {
  return { first: hash32(...key, 0), second: hash32(...key, 1) };
}

/** Word number `counter` of a stream, 0 to 2^32 - 1. */
export function bitsAt(stream: Stream, counter: number): number {
  return mix(mix(counter ^ stream.first) + stream.second);
}

export function uniformBits(key: readonly number[], counter: number): number {
  return bitsAt(streamOf(...key), counter);
}

/** floor(bits * n / 2^32) in exact integer arithmetic, for n up to 2^32: an index below n. */
export function below(n: number, bits: number): number {
  const low = (bits & 0xffff) * n;
  const high = (bits >>> 16) * n + Math.floor(low / 0x1_0000);
  return Math.floor(high / 0x1_0000);
}

/** 0..length-1 in the order that the key gives: Fisher-Yates from the end, the swap at position i drawn by word i. */
export function permutation(length: number, ...key: number[]): Int32Array {
  const stream = streamOf(...key);
  const order = new Int32Array(length);
  for (let i = 0; i < length; i++) order[i] = i;
  for (let i = length - 1; i > 0; i--) {
    const j = below(i + 1, bitsAt(stream, i));
    const moved = order[i]!;
    order[i] = order[j]!;
    order[j] = moved;
  }
  return order;
}
