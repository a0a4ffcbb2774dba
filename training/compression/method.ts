import type { Span } from '../../contracts/names';

/** Which sum it is: whatever a method draws or decides must follow from this, and not from who adds. */
export interface SumAt {
  readonly step: number;
  /** Lanes that are added up in it. */
  readonly node: Span;
  /** Index in the vector of its first element. A range begins on a block of at least 256 elements. */
  readonly first: number;
}

/**
 * One way to make gradient sums smaller. A sum is settled at every node of the tree, a lane's own gradient too: rounded to
 * what its bytes can hold. So a sum that was sent and one that stayed are the same bits, and who combined what is no matter.
 */
export interface Method {
  /** In place. What a range's borders are must not change it. */
  settle(sum: Float32Array, at: SumAt): void;
  /** Bytes of so many elements: exactly, where `fixedSize`, else at most. */
  bytesFor(elements: number): number;
  readonly fixedSize: boolean;
  /** Writes a settled sum, without loss, from the beginning of `out`, which begins on a float's border. Returns the bytes used. */
  encode(sum: Float32Array, out: Uint8Array): number;
  /** The settled sum again, all of it. */
  decode(bytes: Uint8Array, sum: Float32Array): void;
}
