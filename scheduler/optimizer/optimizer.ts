import type { z } from 'zod';
import { SmltError } from '../../contracts/errors';
import type { Quantiles } from '../../contracts/scheduling';
import { ACCEPT_FEASIBILITY, ACCEPT_Z, DEFAULT_NOISE, PROBE_MIN_GAIN, REFUSE_FEASIBILITY } from '../constants';
import { gainOfLook } from '../gain';
import { distanceBetween, matern52 } from '../model/matern';
import { normalCdf, Z95 } from '../normal';
import { uniformStream } from '../random';
import { formatDuration, formatShare } from '../words';
import { resolveGoal, type OptimizerGoal } from './goal';
import { keyOf, positionsOf, resolveSpace, scalingFeatures, type Setting, type Space, type SpaceOption } from './space';
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
/** Where nothing is known a margin costs more than it saves: 0.5 was best on real surfaces. Source: docs/scheduler.md, tables. */
const ACCEPT_UNKNOWN = 0.5;
const ACCEPT_UNKNOWN_Z = 0;
/** What nobody has looked at must be surer of its limits. */
const ACCEPT_UNSEEN = 0.7;
/** A failure says that its neighbours may fail as well, within about a third of the range. */
const FAILURE_LENGTH = 0.35;
const FAILURE_DOUBT = 0.5;
/** Without an option that keeps the limits, finding one is worth at least this much. */
const RESCUE_GAIN = 0.3;
/** Dear looks count less, but little: what a look teaches differs more than what it costs. */
const PRICE_POWER = 0.1;

interface Scored {
  readonly option: SpaceOption;
  readonly index: number;
  readonly timeMs: number;
  readonly costUsd: number;
  readonly objective: number;
  readonly logSd: number;
  /** Logarithm of the nearest limit over what this option needs of it. */
  readonly room: number;
  /** Probability of failing altogether. */
  readonly doubt: number;
  readonly feasibility: number;
}

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
  const positions = positionsOf(space);
  const indexOf = new Map(space.options.map(({ allocation }, i) => [keyOf(allocation), i]));
  const features = space.options.map((option) => scalingFeatures(space, option));
  const accept = model ? ACCEPT_FEASIBILITY : ACCEPT_UNKNOWN;
  const acceptZ = model ? ACCEPT_Z : ACCEPT_UNKNOWN_Z;
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
        const next = mostCentral(usable);
        return suggestion(seen.size < looks ? 'probe' : 'run', next, 'nothing is known yet, so the middle of the space comes first');
      }
      const target = recommended(usable, seen);
      const likeliest = usable.reduce((most, { feasibility }) => Math.max(most, feasibility), 0);
      if (likeliest < REFUSE_FEASIBILITY && seen.size >= Math.min(LEAST_PROBES, looks) && seen.size >= looks / 2)
        return suggestion('infeasible', target, 'no option is likely to keep the limits, and this one comes nearest');
      if (seen.size >= looks) return suggestion('run', target, `${seen.size} looks were allowed`);
      const next = nextLook(usable, seen, target);
      if (next === undefined) return suggestion('run', target, 'every option has been tried');
      if (seen.size >= (model ? LEAST_PROBES : LEAST_PROBES_UNKNOWN) && next.gain < PROBE_MIN_GAIN)
        return suggestion('run', target, `another look would gain less than ${PROBE_MIN_GAIN * 100} %`);
      return suggestion('probe', next.scored, `its expected gain is ${(next.gain * 100).toFixed(0)} %`);
    },
  };

  function scoreAll({ finished, failed }: Located): Scored[] {
    const predictTime = timeModel(finished);
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
      return { option, index, timeMs, costUsd, objective: goal.objective(timeMs, costUsd), logSd, room, doubt, feasibility };
    });
  }

  function timeModel(finished: Located['finished']): (option: SpaceOption, index: number) => { timeMs: number; logSd: number } {
    if (model) return checkedModel(model(finished.map(({ trial }) => trial)));
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

  function nearestRate(index: number, known: readonly { index: number; rate: number }[]): number {
    const nearest = known.reduce<{ gap: number; rate: number }>(
      (best, each) => (gap(index, each.index) < best.gap ? { gap: gap(index, each.index), rate: each.rate } : best),
      { gap: Infinity, rate: 0 },
    );
    return nearest.rate;
  }
  function mostCentral(list: readonly Scored[]): Scored {
    const jitter = uniformStream(seed, 0x317d);
    const middle = positions[0]!.map((_, d) => positions.reduce((sum, at) => sum + at[d]!, 0) / positions.length);
    const ranked = list.map((scored) => ({ scored, away: distanceBetween(positions[scored.index]!, middle) + 1e-3 * jitter() }));
    return ranked.reduce((a, b) => (b.away < a.away ? b : a)).scored;
  }
  function recommended(list: readonly Scored[], seen: ReadonlySet<number>): Scored {
    const least = (some: readonly Scored[]) => some.reduce((a, b) => (b.objective < a.objective ? b : a));
    const safe = list.filter(({ feasibility, index }) => feasibility >= (seen.has(index) ? accept : Math.max(accept, ACCEPT_UNSEEN)));
    if (safe.length > 0) return least(safe);
    // Nothing is safe: the likeliest, and among those that stand for "no chance" alike the one that passes its limit least.
    const likeliest = list.reduce((a, b) => (b.feasibility > a.feasibility ? b : a));
    if (likeliest.feasibility < REFUSE_FEASIBILITY) return list.reduce((a, b) => (b.room > a.room ? b : a));
    return least(list.filter(({ feasibility }) => feasibility >= 0.9 * likeliest.feasibility));
  }
  function nextLook(list: readonly Scored[], seen: ReadonlySet<number>, target: Scored): { scored: Scored; gain: number } | undefined {
    const dearest = list.reduce((most, { costUsd }) => Math.max(most, costUsd), 0) || 1;
    const leastBetter = target.feasibility < accept ? RESCUE_GAIN : -Infinity;
    const ranked = list
      .filter(({ index }) => !seen.has(index))
      .map((scored) => {
        const better = Math.max(Math.log(target.objective / scored.objective) || 0, leastBetter);
        const gain = (1 - scored.doubt) * gainOfLook({ better, room: scored.room, logSd: scored.logSd, logSdAfter: noise, acceptZ });
        const price = goal.isTime ? scored.timeMs : Math.max(scored.costUsd, 1e-6 * dearest);
        return { scored, gain, score: gain / price ** PRICE_POWER };
      });
    return ranked.length === 0 ? undefined : ranked.reduce((a, b) => (b.score > a.score ? b : a));
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
