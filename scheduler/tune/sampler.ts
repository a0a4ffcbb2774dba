import { SmltError } from '../../contracts/errors';
import type { SearchRange } from '../../contracts/job';
import { uniformStream } from '../random';
import { parzenEstimator } from './parzen';
import { axisOf, type Axis, type ParameterValues } from './space';

export interface PastTrial {
  readonly params: ParameterValues;
  /** The metric, at the end or where the trial was pruned; null while running or when it failed. */
  readonly value: number | null;
  readonly state: 'running' | 'complete' | 'pruned' | 'failed';
}
export interface TrialRequest {
  readonly parameters: Readonly<Record<string, SearchRange>>;
  readonly history: readonly PastTrial[];
  readonly seed: number;
  readonly index: number;
  readonly sampler: 'tpe' | 'random';
  readonly minimize: boolean;
  /** Trials planned in all: sets how many of them only look around. */
  readonly trials?: number;
}

/** Share of the trials that count as good, and the most of them. Source: Optuna's TPESampler. */
const GOOD_SHARE = 0.1;
const MOST_GOOD = 25;
/** Points drawn from the good ones' density, of which the likeliest gain is taken. Source: Bergstra et al. 2011. */
const DRAWS = 24;
/** Trials that only look around: a quarter of those planned, 3 to 10 (Optuna always takes 10). */
const lookAround = (trials: number | undefined): number => Math.min(10, Math.max(3, Math.ceil((trials ?? 40) / 4)));

/**
 * Values for a trial: a pure function of (seed, index, history). Trial 0 is the job's own values, which the caller has.
 * `random` draws evenly; `tpe` first spreads out evenly, then follows what was good.
 */
export function suggestTrial({ parameters, history, seed, index, sampler, minimize, trials }: TrialRequest): ParameterValues {
  const axes = Object.keys(parameters)
    .sort()
    .map((name) => axisOf(name, parameters[name]!));
  if (axes.length === 0) throw new SmltError('InvalidSpec', 'tune.parameters: expected at least one parameter to search');
  const uniform = uniformStream(seed, index, 0x7e57);
  if (sampler === 'random')
    return valuesAt(
      axes,
      axes.map((axis) => uniform() * (axis.choices ?? 1)),
    );
  const finished = history.filter((trial) => trial.state !== 'running' && trial.value !== null && Number.isFinite(trial.value));
  if (finished.length < lookAround(trials)) return valuesAt(axes, spread(axes, seed, index));

  const { good, others } = split(history, minimize);
  const located = (list: readonly PastTrial[]) => list.flatMap((trial) => unitsOf(axes, trial.params) ?? []);
  const likely = parzenEstimator(axes, located(good));
  const unlikely = parzenEstimator(axes, located(others));
  let chosen: number[] | undefined;
  let most = -Infinity;
  for (let draw = 0; draw < DRAWS; draw += 1) {
    const at = likely.sample(uniform);
    // Expected improvement grows with this ratio. Source: Bergstra et al. 2011, equation 6.
    const gain = likely.logDensity(at) - unlikely.logDensity(at);
    if (gain > most) [chosen, most] = [at, gain];
  }
  return valuesAt(axes, chosen!);
}

const valuesAt = (axes: readonly Axis[], units: readonly number[]): ParameterValues =>
  Object.fromEntries(axes.map((axis, d) => [axis.name, axis.fromUnit(units[d]!)]));

function unitsOf(axes: readonly Axis[], params: ParameterValues): number[][] | undefined {
  const units = axes.map((axis) => (params[axis.name] === undefined ? undefined : axis.toUnit(params[axis.name]!)));
  return units.some((unit) => unit === undefined) ? undefined : [units as number[]];
}

/** Good and other trials. A pruned one ranks behind every complete one; running and failed ones are others, so that nobody repeats them. */
function split(history: readonly PastTrial[], minimize: boolean): { good: PastTrial[]; others: PastTrial[] } {
  const sign = minimize ? 1 : -1;
  const valued = history.filter(
    (trial) => trial.state !== 'running' && trial.state !== 'failed' && trial.value !== null && Number.isFinite(trial.value),
  );
  const ranked = valued
    .map((trial, order) => ({ trial, order }))
    .sort((a, b) => {
      if (a.trial.state !== b.trial.state) return a.trial.state === 'complete' ? -1 : 1;
      return sign * (a.trial.value! - b.trial.value!) || a.order - b.order;
    })
    .map(({ trial }) => trial);
  const count = Math.min(MOST_GOOD, Math.ceil(GOOD_SHARE * ranked.length));
  return { good: ranked.slice(0, count), others: [...ranked.slice(count), ...history.filter((trial) => !valued.includes(trial))] };
}

const PRIMES = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];

/** Evenly spread points in an order that stays even wherever it ends: Halton's sequence, shifted at random by the seed. */
function spread(axes: readonly Axis[], seed: number, index: number): number[] {
  return axes.map((axis, d) => {
    const shift = uniformStream(seed, d, 0x51f7)();
    const base = PRIMES[d];
    const unit = base === undefined ? uniformStream(seed, index, d)() : (radicalInverse(index + 1, base) + shift) % 1;
    return unit * (axis.choices ?? 1);
  });
}

function radicalInverse(index: number, base: number): number {
  let inverse = 0;
  let share = 1 / base;
  for (let rest = index; rest > 0; rest = Math.floor(rest / base), share /= base) inverse += (rest % base) * share;
  return inverse;
}
