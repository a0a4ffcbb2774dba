/** Counter-based randomness: number i of a stream depends on the keys and i alone, so that runs can be repeated and compared. */

/** Mixes all bits. Source: MurmurHash3's 32-bit finaliser. */
function mix(value: number): number {
  let h = value >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** The digest of a list of whole numbers. */
export function hashKeys(...keys: readonly number[]): number {
  let h = 0x9e3779b9;
  for (const key of keys) h = mix((Math.imul(h, 31) + mix((key >>> 0) + 0x9e3779b9) + mix(Math.floor(key / 2 ** 32))) >>> 0);
  return h;
}

export type Uniform = () => number;

/** Uniform numbers in (0, 1) for these keys. */
export function uniformStream(...keys: readonly number[]): Uniform {
  const key = hashKeys(...keys);
  let counter = 0;
  return () => {
    counter += 1;
    return (mix(key ^ mix(Math.imul(counter, 0x9e3779b9) >>> 0)) + 0.5) / 2 ** 32;
  };
}

/** A standard normal number. Source: Box and Muller 1958. */
export function normalFrom(uniform: Uniform): number {
  return Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}
