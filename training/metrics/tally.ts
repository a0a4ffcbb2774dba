import type { MetricSums } from '../../contracts/functions';
import { addExact, roundExact } from '../exact-sum';
import { encodeScores } from './scores';

export const sumNames = ['lossSum', 'weightSum', 'squaredErrorSum', 'absoluteErrorSum', 'targetSum', 'targetSquaredSum'] as const;
export type SumName = (typeof sumNames)[number];

/** Above this many classes a part would not fit into an answer. */
const MOST_CONFUSED = 64;
const MOST_CLASSES = 4_096;
const RANKS = 10;

/** Counts and exact sums of one part, while it is measured. */
export class Tally {
  readonly exact = Object.fromEntries(sumNames.map((name) => [name, [] as number[]])) as Record<SumName, number[]>;
  samples = 0;
  decisions = 0;
  correct = 0;
  values = 0;
  readonly #confusion: number[][] = [];
  readonly #ranks: number[] = [];
  readonly #right: number[] = [];
  readonly #named: number[] = [];
  readonly #had: number[] = [];
  readonly #positive: number[] = [];
  readonly #negative: number[] = [];

  /** @param classes  of decisions, or labels that are each decided; 0: nothing is */
  constructor(
    private readonly classes: number,
    oneOfMany: boolean,
  ) {
    if (classes > MOST_CLASSES) this.classes = 0;
    for (const counts of [this.#right, this.#named, this.#had]) counts.push(...new Array<number>(this.classes).fill(0));
    if (oneOfMany && classes <= MOST_CONFUSED) this.#confusion = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
    if (oneOfMany && classes > 2) this.#ranks = new Array<number>(RANKS + 1).fill(0);
  }

  add(name: SumName, value: number): void {
    addExact(this.exact[name], value);
  }
  addLoss(sum: number, weight: number): void {
    this.add('lossSum', sum);
    this.add('weightSum', weight);
  }

  /** One decision among classes. @param rank  how many classes stood before the true one */
  decide(label: number, prediction: number, rank: number): void {
    this.decisions++;
    if (label === prediction) this.correct++;
    const row = this.#confusion[label];
    if (row) row[prediction]!++;
    if (this.#ranks.length > 0) this.#ranks[Math.min(rank, RANKS)]!++;
    this.#count(this.#had, label);
    this.#count(this.#named, prediction);
    if (label === prediction) this.#count(this.#right, label);
  }
  /** One of several labels, each a yes or no of its own. */
  decideLabel(label: number, truth: boolean, prediction: boolean): void {
    if (truth) this.#count(this.#had, label);
    if (prediction) this.#count(this.#named, label);
    if (truth && prediction) this.#count(this.#right, label);
  }
  score(value: number, positive: boolean): void {
    (positive ? this.#positive : this.#negative).push(Math.fround(value));
  }
  #count(counts: number[], at: number): void {
    if (at < this.classes) counts[at]!++;
  }

  finish(): MetricSums {
    return {
      samples: this.samples,
      decisions: this.decisions,
      correct: this.correct,
      values: this.values,
      confusion: this.#confusion,
      ranks: this.#ranks,
      perClass: { right: this.#right, named: this.#named, had: this.#had },
      scores: { positive: encodeScores(this.#positive), negative: encodeScores(this.#negative) },
      ...roundedSums(this.exact),
      exact: this.exact,
    };
  }
}

export function roundedSums(exact: Readonly<Record<SumName, readonly number[]>>): Record<SumName, number> {
  return Object.fromEntries(sumNames.map((name) => [name, roundExact(exact[name])])) as Record<SumName, number>;
}
