import type { Turn } from './turn';

/** Deletes by name what nobody needs once a step is complete; a fresh instance begins at the round's first step. */
export class Sweep {
  #from: number;
  constructor(private readonly turn: Turn) {
    this.#from = turn.plan.first;
  }

  /** Everything of the own ranges of steps below `complete - 1`: one step of slack for a duplicate that is a little behind. */
  async below(complete: number): Promise<void> {
    const { layout, exchange, meter } = this.turn;
    const gone: string[] = [];
    for (; this.#from < complete - 1; this.#from++) gone.push(...layout.swept(this.#from));
    if (gone.length > 0) await meter.during('other', () => exchange.delete(gone));
  }
}
