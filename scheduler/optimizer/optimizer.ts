import { z } from 'zod';
import { SmltError } from '../../contracts/errors';
import { parseWith } from '../../contracts/job';
import type { Quantiles } from '../../contracts/scheduling';
import { ACCEPT_FEASIBILITY, DEFAULT_NOISE, INCUMBENT_FEASIBILITY, PROBE_MIN_GAIN, REFUSE_FEASIBILITY } from '../constants';
import { matern52 } from '../model/matern';
import { normalCdf, normalPdf, Z95 } from '../normal';
import { uniformStream } from '../random';
import { formatDuration, formatShare } from '../words';
import { keyOf, positionsOf, scalingFeatures, Space, type SpaceOption } from './space';
import { fitSurface } from './surface';

export const OptimizerGoal = z.strictObject({
  minimize: z.enum(['cost', 'time']),
  deadlineMs: z.number().positive('expected more than 0; leave it out for no deadline').optional(),
  budgetUsd: z.number().positive('expected more than 0; leave it out for no budget').optional(),
});
export type OptimizerGoal = z.output<typeof OptimizerGoal>;

/** What one configuration did. A failed one (out of memory, never finished) has no time. */
export const Trial = z.union([
  z.strictObject({
    allocation: z.record(z.string(), z.union([z.number(), z.string()])),
    timeMs: z.number().positive(),
    costUsd: z.number().min(0).optional(),
  }),
  z.strictObject({ allocation: z.record(z.string(), z.union([z.number(), z.string()])), failed: z.literal(true) }),
]);
export type Trial = z.output<typeof Trial>;

type Finished = Extract<Trial, { timeMs: number }>;

export interface Suggestion {
  readonly kind: 'probe' | 'run' | 'infeasible';
  readonly allocation: Readonly<Record<string, number | string>>;
  readonly prediction: { readonly timeMs: Quantiles; readonly costUsd: Quantiles; readonly feasibility: number };
  readonly reason: string;
}
/** Predicts an option's time from the trials so far: the default knows only how time may scale with workers and speed. */
export type TimeModel = (trials: readonly Trial[]) => (option: SpaceOption) => { readonly timeMs: number; readonly logSd: number };

export interface OptimizerOptions {
  readonly space: z.input<typeof Space>;
  readonly goal: z.input<typeof OptimizerGoal>;
  readonly model?: TimeModel;
  readonly seed: number;
  /** The most looks before running; unknown code needs 8 to 10. Source: rules, section 4. */
  readonly maxProbes?: number;
  /** Relative noise of a measured time, where it is known. */
  readonly noise?: number;
}
export interface Optimizer {
  suggest(trials: readonly Trial[]): Suggestion;
}

/** Looks before "it is good enough" counts: 3 where a model knows the code, 8 where nothing does. Source: rules, section 4. */
const LEAST_PROBES = 3;
const LEAST_PROBES_UNKNOWN = 8;
/** Where nothing is known a margin costs more than it saves: 0.5 to 0.6 was best on real surfaces. Source: rules, section 4. */
const ACCEPT_UNKNOWN = 0.6;
/** A failure says that its neighbours may fail as well, within about a third of the range. */
const FAILURE_LENGTH = 0.35;
const FAILURE_DOUBT = 0.5;

interface Scored {
  readonly option: SpaceOption;
  readonly index: number;
  readonly timeMs: number;
  readonly costUsd: number;
  readonly objective: number;
  readonly logSd: number;
  readonly feasibility: number;
}

/**
 * Chooses among configurations with few looks: constrained expected improvement over a scaling law and a Gaussian process.
 * A pure function of its options and the trials given.
 * @throws {SmltError} `InvalidSpec` when the space, the goal or a trial is not valid
 */
export function createOptimizer({
  space: givenSpace,
  goal: givenGoal,
  model,
  seed,
  maxProbes = 10,
  noise = DEFAULT_NOISE,
}: OptimizerOptions): Optimizer {
  const space = parseWith(Space, givenSpace, 'the optimiser’s space');
  const goal = parseWith(OptimizerGoal, givenGoal, 'the optimiser’s goal');
  const positions = positionsOf(space);
  const indices = new Map(space.options.map((option, i) => [keyOf(option.allocation), i]));
  const features = space.options.map((option) => scalingFeatures(space, option));

  return {
    suggest(given) {
      const trials = given.map((trial, i) => parseWith(Trial, trial, `trial ${i}`));
      const located = trials.map((trial) => {
        const index = indices.get(keyOf(trial.allocation));
        if (index === undefined) throw new SmltError('InvalidSpec', `a trial’s allocation is not in the space: ${JSON.stringify(trial.allocation)}`);
        return { trial, index };
      });
      const finished = located.flatMap(({ trial, index }) => ('timeMs' in trial ? [{ trial, index }] : []));
      const failed = located.filter(({ trial }) => 'failed' in trial).map(({ index }) => index);
      const seen = new Set(located.map(({ index }) => index));
      const scored = scoreAll(finished, failed);
      if (finished.length === 0 && model === undefined) {
        const next = mostCentral(scored.filter(({ index }) => !seen.has(index)));
        if (next === undefined) throw new SmltError('InvalidSpec', 'every option of the space has failed');
        return suggestion('probe', next, 'nothing is known yet, so the middle of the space is tried first');
      }
      const usable = scored.filter(({ index }) => !failed.includes(index));
      if (usable.length === 0) throw new SmltError('InvalidSpec', 'every option of the space has failed');
      const target = recommended(usable);
      const looked = located.length;
      if (
        looked >= LEAST_PROBES &&
        looked >= Math.min(maxProbes, space.options.length) / 2 &&
        Math.max(...usable.map((each) => each.feasibility)) < REFUSE_FEASIBILITY
      ) {
        return suggestion('infeasible', target, 'no option is likely to keep the limits; this one comes nearest');
      }
      if (looked >= Math.min(maxProbes, space.options.length)) return suggestion('run', target, `${looked} looks were allowed`);
      const next = nextProbe(usable, seen);
      if (next === undefined) return suggestion('run', target, 'every option has been tried');
      if (looked >= (model ? LEAST_PROBES : LEAST_PROBES_UNKNOWN) && next.gain < PROBE_MIN_GAIN)
        return suggestion('run', target, `another look would gain less than ${PROBE_MIN_GAIN * 100} %`);
      return suggestion('probe', next.scored, `its expected gain is ${(next.gain * 100).toFixed(0)} %`);
    },
  };

  function scoreAll(finished: readonly { trial: Finished; index: number }[], failed: readonly number[]): Scored[] {
    const predictTime = timeModel(finished);
    const known = finished.flatMap(({ trial, index }) => (trial.costUsd === undefined ? [] : [{ index, rate: trial.costUsd / trial.timeMs }]));
    return space.options.map((option, index) => {
      const { timeMs, logSd } = predictTime(option, index);
      // Price by the second where it is given, else that of the nearest option measured.
      const rate = option.usdPerSecond === undefined ? nearestRate(index, known) : option.usdPerSecond / 1_000;
      const costUsd = timeMs * rate;
      const doubt = Math.max(0, ...failed.map((other) => FAILURE_DOUBT * matern52(gap(index, other), 1, FAILURE_LENGTH)));
      const below = (limit: number | undefined, value: number) =>
        limit === undefined ? 1 : value <= 0 ? 1 : normalCdf(Math.log(limit / value) / logSd);
      // Time and cost err together, so the tighter limit decides.
      const feasibility = (1 - doubt) * Math.min(below(goal.deadlineMs, timeMs), below(goal.budgetUsd, costUsd));
      return { option, index, timeMs, costUsd, objective: goal.minimize === 'time' ? timeMs : costUsd, logSd, feasibility };
    });
  }

  function timeModel(
    finished: readonly { trial: Finished; index: number }[],
  ): (option: SpaceOption, index: number) => { timeMs: number; logSd: number } {
    if (model) return model(finished.map(({ trial }) => trial));
    if (finished.length === 0) return () => ({ timeMs: 1, logSd: 1 });
    const surface = fitSurface(
      finished.map(({ trial, index }) => ({ features: features[index]!, at: positions[index]!, value: trial.timeMs })),
      noise,
    );
    return (_, index) => {
      const { median, logSd } = surface(features[index]!, positions[index]!);
      return { timeMs: median, logSd };
    };
  }

  function gap(a: number, b: number): number {
    return Math.sqrt(positions[a]!.reduce((sum, value, d) => sum + (value - positions[b]![d]!) ** 2, 0));
  }
  function nearestRate(index: number, known: readonly { index: number; rate: number }[]): number {
    return known.reduce<{ gap: number; rate: number }>(
      (best, each) => (gap(index, each.index) < best.gap ? { gap: gap(index, each.index), rate: each.rate } : best),
      {
        gap: Infinity,
        rate: 0,
      },
    ).rate;
  }
  function mostCentral(list: readonly Scored[]): Scored | undefined {
    const jitter = uniformStream(seed, 0x317d);
    const middle = positions[0]!.map((_, d) => positions.reduce((sum, at) => sum + at[d]!, 0) / positions.length);
    const distances = list.map(
      ({ index }) => Math.sqrt(positions[index]!.reduce((sum, value, d) => sum + (value - middle[d]!) ** 2, 0)) + 1e-3 * jitter(),
    );
    return list[distances.indexOf(Math.min(...distances))];
  }
  function recommended(list: readonly Scored[]): Scored {
    const least = (some: readonly Scored[]) => some.reduce((a, b) => (b.objective < a.objective ? b : a));
    const safe = list.filter((each) => each.feasibility >= (model ? ACCEPT_FEASIBILITY : ACCEPT_UNKNOWN));
    if (safe.length > 0) return least(safe);
    const likeliest = Math.max(...list.map((each) => each.feasibility));
    return least(list.filter((each) => each.feasibility >= 0.9 * likeliest));
  }
  function nextProbe(list: readonly Scored[], seen: ReadonlySet<number>): { scored: Scored; gain: number } | undefined {
    const likely = list.filter((each) => each.feasibility >= INCUMBENT_FEASIBILITY);
    const incumbent = likely.length > 0 ? Math.min(...likely.map((each) => each.objective)) : Infinity;
    const dearest = Math.max(...list.map((each) => each.costUsd)) || 1;
    const ranked = list
      .filter(({ index }) => !seen.has(index))
      .map((scored) => {
        const better = incumbent === Infinity ? 1 : Math.log(incumbent / scored.objective);
        const z = better / scored.logSd;
        const gain = scored.feasibility * (better * normalCdf(z) + scored.logSd * normalPdf(z));
        const price = goal.minimize === 'time' ? scored.timeMs : Math.max(scored.costUsd, 1e-6 * dearest);
        return { scored, gain, score: gain / Math.sqrt(price) };
      });
    return ranked.length === 0 ? undefined : ranked.reduce((a, b) => (b.score > a.score ? b : a));
  }
  function suggestion(kind: Suggestion['kind'], { option, timeMs, costUsd, logSd, feasibility }: Scored, why: string): Suggestion {
    const spread = (median: number): Quantiles => ({ p05: median * Math.exp(-Z95 * logSd), p50: median, p95: median * Math.exp(Z95 * logSd) });
    const words = Object.entries(option.allocation)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ');
    const limits = goal.deadlineMs === undefined && goal.budgetUsd === undefined ? '' : `, ${formatShare(feasibility)} sure to keep the limits`;
    return {
      kind,
      allocation: option.allocation,
      prediction: { timeMs: spread(timeMs), costUsd: spread(costUsd), feasibility },
      reason: `${words}: about ${formatDuration(timeMs)}${limits}; ${why}.`,
    };
  }
}
