// Announced changes of the batch: what suits small steps seldom suits large ones, so a plan may change its allocation where they change.
import { shapeKey } from '../contracts/allocation';
import type { DecisionInput } from '../contracts/scheduling';
import type { Shape } from './model/workload';

/** Medians of a part of the work: what is fixed, and what goes with the step's time. */
export interface Amounts {
  readonly fixedMs: number;
  readonly stepsMs: number;
  readonly fixedNanoUsd: number;
  readonly timedNanoUsd: number;
  /** The steps' time times the SD of its logarithm: errors of parts go together, since one model timed them all. */
  readonly sdMs: number;
}
/** How the later phases may go. */
export interface Later {
  /** After this shape, from the fastest to the cheapest: no other way is both faster and cheaper. Empty where nothing else is announced. */
  waysAfter(shape: Shape): readonly Amounts[];
  /** All of them at the shape that came before, which then starts nothing. */
  stayingAt(shape: Shape): Amounts;
}

/** So many ways are told apart; more differ by a few percent. */
const MOST_WAYS = 48;
export const nothing: Amounts = { fixedMs: 0, stepsMs: 0, fixedNanoUsd: 0, timedNanoUsd: 0, sdMs: 0 };

/**
 * A batch f times as large brings at most f times as many workers, each with as many samples as before: a plan that dawdles
 * now and counts on many more workers later rests on nothing that was seen.
 * @param batchSize  before the first of the phases
 * @param work  one phase at one shape, without its start
 * @param start  what a change to the shape takes
 */
export function laterPhasesOf(
  { laterSteps: phases, batchSize }: Pick<DecisionInput, 'laterSteps' | 'batchSize'>,
  shapes: readonly Shape[],
  work: (shape: Shape, phase: DecisionInput['laterSteps'][number]) => Amounts,
  start: (shape: Shape) => Amounts,
): Later {
  const known = new Map<string, Amounts[]>();
  const worksOf = (shape: Shape): Amounts[] => {
    const key = shapeKey(shape);
    const works = known.get(key) ?? phases.map((phase) => work(shape, phase));
    known.set(key, works);
    return works;
  };
  const waysFrom = (workers: number): readonly Amounts[] => {
    let ways: readonly Amounts[] = phases.length === 0 ? [] : [nothing];
    for (let phase = phases.length - 1; phase >= 0; phase -= 1) {
      const most = workers * Math.max(1, phases[phase]!.batchSize / batchSize);
      const within = shapes.filter((shape) => shape.workers <= most);
      const options = undominated(within.map((shape) => sum(worksOf(shape)[phase]!, start(shape))));
      ways = thinned(undominated(options.flatMap((option) => ways.map((rest) => sum(option, rest)))));
    }
    return ways;
  };
  const found = new Map<number, readonly Amounts[]>();
  const waysAfter = ({ workers }: Shape) => {
    const ways = found.get(workers) ?? waysFrom(workers);
    found.set(workers, ways);
    return ways;
  };
  return { waysAfter, stayingAt: (shape) => worksOf(shape).reduce(sum, nothing) };
}

export const sum = (a: Amounts, b: Amounts): Amounts => ({
  fixedMs: a.fixedMs + b.fixedMs,
  stepsMs: a.stepsMs + b.stepsMs,
  fixedNanoUsd: a.fixedNanoUsd + b.fixedNanoUsd,
  timedNanoUsd: a.timedNanoUsd + b.timedNanoUsd,
  sdMs: a.sdMs + b.sdMs,
});
const msOf = ({ fixedMs, stepsMs }: Amounts) => fixedMs + stepsMs;
const nanoUsdOf = ({ fixedNanoUsd, timedNanoUsd }: Amounts) => fixedNanoUsd + timedNanoUsd;

function undominated(list: readonly Amounts[]): Amounts[] {
  let cheapest = Infinity;
  return [...list]
    .sort((a, b) => msOf(a) - msOf(b) || nanoUsdOf(a) - nanoUsdOf(b))
    .filter((each) => {
      const isCheaper = nanoUsdOf(each) < cheapest;
      if (isCheaper) cheapest = nanoUsdOf(each);
      return isCheaper;
    });
}
/** Evenly over the list, both ends kept. */
function thinned(list: readonly Amounts[]): readonly Amounts[] {
  if (list.length <= MOST_WAYS) return list;
  return Array.from({ length: MOST_WAYS }, (_, i) => list[Math.round((i * (list.length - 1)) / (MOST_WAYS - 1))]!);
}
