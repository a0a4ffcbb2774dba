import { addBills, noBill, type Bill } from './money';
import type { TrainOutcome } from './round';
import type { TurnTerms } from './worker-turns';

/**
 * Invokes a round's workers, and gives those that others wait for a second copy: same names, same values, so the first
 * answer counts, and both are paid for. One copy a worker and round; a workflow uses it, and an activity that drives many.
 */
export class Hedges {
  readonly #hedge = new Map<number, () => void>();
  readonly #hedged = new Set<number>();
  #late: Promise<Bill>[] = [];

  constructor(private readonly invoke: (worker: number, terms: TurnTerms) => Promise<TrainOutcome>) {}

  /** How many second copies were started. */
  get count(): number {
    return this.#hedged.size;
  }

  /** One invocation of a worker, or two that race. Answers that come first without an end only add their bills. */
  run(worker: number, terms: TurnTerms = {}): Promise<TrainOutcome> {
    return new Promise((resolve, reject) => {
      let running = 0;
      let answered = false;
      let bill = noBill;
      let last: TrainOutcome | undefined;
      const launch = () => {
        running++;
        const billed = this.invoke(worker, terms).then(
          (outcome) => {
            running--;
            if (answered) return outcome.bill;
            bill = addBills(bill, outcome.bill);
            last = outcome;
            if (ends(outcome) || running === 0) settle(() => resolve({ ...outcome, bill }));
            return noBill;
          },
          (error: unknown) => {
            running--;
            // A copy that never ran leaves the word to the other one.
            if (!answered && running === 0) settle(() => (last ? resolve({ ...last, bill }) : reject(error as Error)));
            return noBill;
          },
        );
        this.#late.push(billed);
      };
      const settle = (answer: () => void) => {
        answered = true;
        this.#hedge.delete(worker);
        answer();
      };
      this.#hedge.set(worker, launch);
      launch();
    });
  }

  /** Others wait for these workers: whoever of them still runs alone gets a second copy. */
  waitedFor(workers: readonly number[]): void {
    for (const worker of workers) {
      const launch = this.#hedge.get(worker);
      if (!launch || this.#hedged.has(worker)) continue;
      this.#hedged.add(worker);
      launch();
    }
  }

  /** Bills of the copies that came second, once all of them have ended: at their next look at the round's manifest. */
  async drain(): Promise<Bill> {
    const late = this.#late;
    this.#late = [];
    return (await Promise.all(late)).reduce(addBills, noBill);
  }
}

const ends = ({ kind }: TrainOutcome) => kind === 'done' || kind === 'superseded';
