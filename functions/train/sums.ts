import type { Span } from '../../contracts/names';
import { divide, type Vectors } from '../../training/kernels';
import { NodeSums, type NodeSum, type NodeSumInUse } from '../../training/tree';
import type { Partials } from './partials';
import type { Addition, Role } from './role';

/** A value that is to be added to others of its stretch, once it is there. */
export interface Awaited {
  readonly node: Span;
  readonly span: Span;
  readonly take: (sum: Float32Array) => void;
}
/** Mean gradients of the stretches that a worker has added up. */
export type Means = readonly { readonly span: Span; readonly values: Float32Array }[];

/** The part of the means that a range has; undefined where this worker has not added it up. */
export function meanOf(means: Means, { start, end }: Span): Float32Array | undefined {
  const whole = means.find(({ span }) => span.start <= start && end <= span.end);
  return whole?.values.subarray(start - whole.span.start, end - whole.span.start);
}

const slice = (vector: Float32Array, { start, end }: Span) => vector.subarray(start, end);

/** What one worker adds up in a step besides its lanes: for its group, if it combines, and over all lanes. */
export class RoleSums {
  readonly #combined: NodeSums | undefined;
  readonly #totals: ReadonlyMap<Span, NodeSums>;

  constructor(
    private readonly role: Role,
    lanes: number,
    private readonly memory: Vectors,
    partials: Partials,
  ) {
    const sumsOf = ({ span }: Addition) => new NodeSums(span.end - span.start, lanes, memory, partials.settling(span));
    this.#combined = role.combines && sumsOf(role.combines);
    this.#totals = new Map(role.sums.map((addition) => [addition.span, sumsOf(addition)]));
  }

  /** What others have to publish for the group, and for the sums. */
  get awaited(): { combined: Awaited[]; totals: Awaited[] } {
    const { combines, sums } = this.role;
    return {
      combined: combines ? this.#awaitedBy(combines, this.#combined!) : [],
      totals: sums.flatMap((addition) => this.#awaitedBy(addition, this.#totals.get(addition.span)!)),
    };
  }

  #awaitedBy({ span, reads }: Addition, sums: NodeSums): Awaited[] {
    return reads.map((node) => ({ node, span, take: (sum) => sums.add(node, sum, 'given') }));
  }

  /** Takes in one of the own lanes' nodes. `lent`: its vector stays as it is until `recycle`, so that no copy is made. */
  addOwn({ node, sum }: NodeSum, use: 'lent' | 'read'): void {
    for (const { span, kept } of this.role.pieces) {
      if (!kept) continue;
      const sums = this.#combined ?? this.#totals.get(span)!;
      if (use === 'lent') sums.add(node, slice(sum, span), 'lent');
      else sums.add(node, this.#copyOf(slice(sum, span)), 'given');
    }
  }

  /**
   * The group's nodes, once all are there. `publish` may change what it is given until it resolves; then what this worker
   * itself needs of them goes into its sums.
   */
  async combine(publish: (node: Span, span: Span, sum: Float32Array) => Promise<void>): Promise<void> {
    const { combines } = this.role;
    if (!combines) return;
    const made = this.#combined!.take(combines.into);
    const cut = ({ sum }: NodeSumInUse, { start, end }: Span) => slice(sum, { start: start - combines.span.start, end: end - combines.span.start });
    const published = combines.pieces.filter((piece) => piece.published);
    await Promise.all(made.flatMap((one) => published.map(({ span }) => publish(one.node, span, cut(one, span)))));
    const kept = combines.pieces.filter((piece) => piece.kept);
    for (const one of made) {
      if (one.use === 'given' && kept.length === 1 && kept[0]!.span.end - kept[0]!.span.start === one.sum.length) {
        this.#totals.get(kept[0]!.span)!.add(one.node, one.sum, 'given');
        continue;
      }
      for (const { span } of kept) this.#totals.get(span)!.add(one.node, this.#copyOf(cut(one, span)), 'given');
      if (one.use === 'given') this.memory.release(one.sum);
    }
  }

  /** Once everything is there: means over the batch, for the caller to change until `recycle`. */
  means(batchSize: number): Means {
    return this.role.sums.map(({ span }) => {
      const values = this.#totals.get(span)!.finish();
      divide(values, values, batchSize);
      return { span, values };
    });
  }

  recycle(means: Means): void {
    for (const { span, values } of means) this.#totals.get(span)!.recycle(values);
  }

  /** For a step that is begun again; somebody else has taken the vectors back. */
  forget(): void {
    this.#combined?.forget();
    for (const sums of this.#totals.values()) sums.forget();
  }

  #copyOf(values: Float32Array): Float32Array {
    const copy = this.memory.floats(values.length);
    copy.set(values);
    return copy;
  }
}
