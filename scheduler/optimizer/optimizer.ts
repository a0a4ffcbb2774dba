import type { z } from 'zod';
import { SmltError } from '../../contracts/errors';
import type { Quantiles } from '../../contracts/scheduling';
import { DEFAULT_NOISE, PROBE_MIN_GAIN, REFUSE_FEASIBILITY } from '../constants';
import { distanceBetween, matern52 } from '../model/matern';
import { median, normalCdf, Z95 } from '../normal';
import { formatDuration, formatShare } from '../words';
import { MARGIN, mostCentral, nextLook, NO_MARGIN, recommended, type Scored } from './choice';
import { resolveGoal, type OptimizerGoal } from './goal';
import { keyOf, placesOf, resolveSpace, type Setting, type Space, type SpaceOption } from './space';
import { fitSurface } from './surface';
import { locate, type Located, type Trial } from './trial';

export interface Suggestion {
  /** Try it for a while, run with it to the end, or: nothing keeps the limits, and this comes nearest. */
  readonly kind: 'probe' | 'run' | 'infeasible';
  readonly allocation: Setting;
  readonly prediction: { readonly timeMs: Quantiles; readonly costUsd: Quantiles; readonly feasibility: number };
  /** One sentence that a person understands. */
  readonly reason: string;
}
/** Predicts an option's time from the observations so far: the default knows only how time may scale with workers and speed. */
export type TimeModel = (observations: readonly Trial[]) => (option: SpaceOption) => { readonly timeMs: number; readonly logSd: number };

export interface OptimizerOptions {
  readonly space: z.input<typeof Space>;
  readonly goal: z.input<typeof OptimizerGoal>;
  readonly model?: TimeModel;
  readonly seed: number;
  /** The most looks before running; unknown code needs 8 to 10. Source: rules, section 4. */
  readonly maxProbes?: number;
  /** Relative noise of a measured time (SD of its logarithm), where it is known. */
  readonly noise?: number;
  /** Now, for a goal whose deadline is a moment. */
  readonly nowMs?: number;
  /** Observations that name another one are refused. */
  readonly programVersion?: string;
}
export interface Optimizer {
  suggest(observations: readonly Trial[]): Suggestion;
}

/** Looks before "it is good enough" counts: 3 where a model knows the code, 8 where nothing does. Source: rules, section 4. */
const LEAST_PROBES = 3;
const LEAST_PROBES_UNKNOWN = 8;
/** Half way through, a chance this small is worth no more looks. */
const REFUSE_EARLY = 0.01;
/** A failure says that its neighbours may fail as well, within about a third of the range. */
const FAILURE_LENGTH = 0.35;
const FAILURE_DOUBT = 0.5;

/**
 * Chooses among configurations with few looks: constrained expected improvement over a scaling law and Gaussian processes.
 * A pure function of its options and the observations given: it keeps nothing between calls.
 * @throws {SmltError} `InvalidSpec` when the space, the goal or an observation is not valid
 */
export function createOptimizer(settings: OptimizerOptions): Optimizer {
  const { model, seed, maxProbes = 10, noise = DEFAULT_NOISE, programVersion } = settings;
  const space = resolveSpace(settings.space);
  const goal = resolveGoal(settings.goal, settings.nowMs);
  if (!Number.isInteger(maxProbes) || maxProbes < 0) throw new SmltError('InvalidSpec', `maxProbes ${maxProbes}: expected a whole number, 0 or more`);
  if (!(noise >= 0 && noise < Infinity)) throw new SmltError('InvalidSpec', `noise ${noise}: expected a number, 0 or more`);
  const indexOf = new Map(space.options.map(({ allocation }, i) => [keyOf(allocation), i]));
  const places = placesOf(space);
  const positions = places.map(({ at }) => at);
  // A measurement whose noise is stated is not the truth yet; where nobody stated any, it is the best there is.
  const margin = model || settings.noise ? MARGIN : NO_MARGIN;
  const gap = (a: number, b: number) => distanceBetween(positions[a]!, positions[b]!);
  const looks = Math.min(maxProbes, space.options.length);

  return {
    suggest(observations) {
      const located = locate(observations, space, indexOf, { programVersion, needsCost: goal.needsCost });
      const { finished, failed, seen } = located;
      const scored = scoreAll(located);
      const usable = scored.filter(({ index }) => !failed.has(index));
      if (usable.length === 0) throw new SmltError('InvalidSpec', `all ${scored.length} options of the space have failed: add larger ones`);
      if (finished.length === 0 && model === undefined) {
        const next = mostCentral(usable, positions, seed);
        return suggestion(seen.size < looks ? 'probe' : 'run', next, 'nothing is known yet, so the middle of the space comes first');
      }
      const target = recommended(usable, margin);
      const likeliest = usable.reduce((most, { feasibility }) => Math.max(most, feasibility), 0);
      // One of many unlikely options may well do: refuse early only where there is next to no chance.
      const hopeless = seen.size >= looks ? REFUSE_FEASIBILITY : REFUSE_EARLY;
      if (likeliest < hopeless && seen.size >= Math.min(LEAST_PROBES, looks) && seen.size >= looks / 2)
        return suggestion('infeasible', target, 'no option is likely to keep the limits, and this one comes nearest');
      if (seen.size >= looks) return suggestion('run', target, `${seen.size} looks were allowed`);
      const next = nextLook(usable, target, { margin, noise, isTime: goal.isTime });
      if (next === undefined) return suggestion('run', target, 'every option has been tried');
      if (seen.size >= (model ? LEAST_PROBES : LEAST_PROBES_UNKNOWN) && next.gain < PROBE_MIN_GAIN)
        return suggestion('run', target, `another look would gain less than ${PROBE_MIN_GAIN * 100} %`);
      return suggestion('probe', next.scored, `its expected gain is ${(next.gain * 100).toFixed(0)} %`);
    },
  };

  function scoreAll(located: Located): Scored[] {
    const { finished, failed, seen } = located;
    const predictTime = timeModel(finished);
    const broke = brokenBy(located);
    const known = finished.flatMap(({ trial, index }) => (trial.costUsd === undefined ? [] : [{ index, rate: trial.costUsd / trial.timeMs }]));
    return space.options.map((option, index) => {
      const { timeMs, logSd } = predictTime(option, index);
      // Price by the second where it is given, else that of the nearest option measured.
      const costUsd = timeMs * (option.usdPerSecond === undefined ? nearestRate(index, known) : option.usdPerSecond / 1_000);
      const doubt = [...failed].reduce((most, other) => Math.max(most, FAILURE_DOUBT * matern52(gap(index, other), 1, FAILURE_LENGTH)), 0);
      const roomOf = (limit: number | undefined, value: number) => (limit === undefined || value <= 0 ? Infinity : Math.log(limit / value));
      // Time and cost err together, so the tighter limit decides.
      const room = Math.min(roomOf(goal.deadlineMs, timeMs), roomOf(goal.budgetUsd, costUsd));
      const feasibility = (1 - doubt) * normalCdf(room / logSd);
      const sight = broke.has(index) ? 'broke' : seen.has(index) ? 'seen' : 'unseen';
      return { option, index, sight, timeMs, costUsd, objective: goal.objective(timeMs, costUsd), logSd, room, doubt, feasibility };
    });
  }

  /** Options that were seen to pass a limit, at the median of what was seen. */
  function brokenBy({ finished }: Located): ReadonlySet<number> {
    const trials = (index: number) => finished.filter((each) => each.index === index).map(({ trial }) => trial);
    const passed = (values: readonly number[], limit: number | undefined) => limit !== undefined && median(values) > limit;
    return new Set(
      finished.flatMap(({ index }) => {
        const rate = space.options[index]!.usdPerSecond;
        const costs = trials(index).map(({ timeMs, costUsd }) => costUsd ?? ((rate ?? 0) * timeMs) / 1_000);
        const times = trials(index).map(({ timeMs }) => timeMs);
        return passed(times, goal.deadlineMs) || passed(costs, goal.budgetUsd) ? [index] : [];
      }),
    );
  }

  function timeModel(finished: Located['finished']): (option: SpaceOption, index: number) => { timeMs: number; logSd: number } {
    if (model) return checkedModel(model(finished.map(({ trial }) => trial)));
    if (finished.length === 0) return () => ({ timeMs: 1, logSd: 1 });
    const surface = fitSurface(
      finished.map(({ trial, index }) => ({ ...places[index]!, value: trial.timeMs })),
      noise,
    );
    return (_, index) => {
      const { median, logSd } = surface(places[index]!);
      return { timeMs: median, logSd };
    };
  }

  function nearestRate(index: number, known: readonly { index: number; rate: number }[]): number {
    const nearest = known.reduce<{ gap: number; rate: number }>(
      (best, each) => (gap(index, each.index) < best.gap ? { gap: gap(index, each.index), rate: each.rate } : best),
      { gap: Infinity, rate: 0 },
    );
    return nearest.rate;
  }
  function suggestion(kind: Suggestion['kind'], { option, timeMs, costUsd, logSd, feasibility }: Scored, why: string): Suggestion {
    const spread = (median: number): Quantiles => ({ p05: median * Math.exp(-Z95 * logSd), p50: median, p95: median * Math.exp(Z95 * logSd) });
    const words = Object.entries(option.allocation)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ');
    const isLimited = goal.deadlineMs !== undefined || goal.budgetUsd !== undefined;
    const about =
      timeMs === 1 && logSd === 1
        ? ''
        : `about ${formatDuration(timeMs)}${isLimited ? `, ${formatShare(feasibility)} sure to keep the limits` : ''}; `;
    return {
      kind,
      allocation: option.allocation,
      prediction: { timeMs: spread(timeMs), costUsd: spread(costUsd), feasibility },
      reason: `${words}: ${about}${why}.`,
    };
  }
}

/** A model is the caller's code: what it says is checked like any input. */
function checkedModel(predict: ReturnType<TimeModel>): ReturnType<TimeModel> {
  return (option) => {
    const { timeMs, logSd } = predict(option);
    if (!(timeMs > 0 && timeMs < Infinity && logSd > 0 && logSd < Infinity))
      throw new SmltError(
        'InvalidSpec',
        `the model says timeMs ${timeMs}, logSd ${logSd} for ${JSON.stringify(option.allocation)}: expected numbers above 0`,
      );
    return { timeMs, logSd };
  };
}
