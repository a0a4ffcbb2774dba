import { hashKeys } from '../random';

/** What a random number is for: each purpose of each entity has numbers of its own. */
export const purposes = [
  'compute',
  'straggler',
  'slowInstance',
  'bandwidth',
  'cold',
  'crash',
  'throttle',
  'duplicate',
  'lostValue',
  'episode',
] as const;
export type Purpose = (typeof purposes)[number];

/**
 * Number i of an entity's stream depends on the seed, the entity, the purpose and i alone. So whatever a plan does, worker
 * 17's step 300 is as lucky as under any other plan: policies are compared on common random numbers.
 */
export class Draws {
  readonly #keys = new Map<Purpose, Uint32Array>();
  constructor(private readonly seed: number) {}

  /** Uniform in (0, 1). */
  uniform(purpose: Purpose, entity: number, i: number): number {
    return (scramble(this.#key(purpose, entity) ^ scramble(Math.imul(i + 1, 0x9e3779b9))) + 0.5) / 2 ** 32;
  }

  /** Standard normal. Source: Box and Muller 1958. */
  normal(purpose: Purpose, entity: number, i: number): number {
    const first = scramble(this.#key(purpose, entity) ^ scramble(Math.imul(i + 1, 0x9e3779b9)));
    const second = scramble(first ^ 0x5bd1e995);
    return Math.sqrt(-2 * Math.log((first + 0.5) / 2 ** 32)) * Math.cos((2 * Math.PI * second) / 2 ** 32);
  }

  logNormal(purpose: Purpose, entity: number, i: number, { median, sd }: { median: number; sd: number }): number {
    return sd === 0 ? median : median * Math.exp(sd * this.normal(purpose, entity, i));
  }
  exponential(purpose: Purpose, entity: number, i: number, mean: number): number {
    return -mean * Math.log(this.uniform(purpose, entity, i));
  }

  #key(purpose: Purpose, entity: number): number {
    let keys = this.#keys.get(purpose);
    if (keys === undefined || entity >= keys.length) {
      const known = keys?.length ?? 0;
      const grown = new Uint32Array(Math.max(64, 2 * entity));
      if (keys) grown.set(keys);
      for (let each = known; each < grown.length; each += 1) grown[each] = hashKeys(this.seed, purposes.indexOf(purpose), each);
      this.#keys.set(purpose, (keys = grown));
    }
    return keys[entity]!;
  }
}

/** Mixes all bits. Source: MurmurHash3's 32-bit finaliser. */
function scramble(value: number): number {
  let h = value >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
