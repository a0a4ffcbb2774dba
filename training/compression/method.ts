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
  /** Where a lane holds something back, before anything is added. */
  readonly lane?: LaneRule;
}

/** A lane's gradient, before it is a leaf of the tree. */
export interface LaneAt {
  readonly step: number;
  /** What the gradient is a sum over. */
  readonly samples: number;
  /** At which it was computed. */
  readonly params: Float32Array;
  /** Of this step. */
  readonly learningRate: number;
}
export interface LaneRule {
  /**
   * Leaves in `gradient` what the lane sends.
   * @param kept  what it held back until this step; zeros at first. As many elements as the gradient has
   * @param keeps  becomes what it holds back from here on: another vector
   */
  select(gradient: Float32Array, kept: Float32Array, keeps: Float32Array, at: LaneAt): void;
}
