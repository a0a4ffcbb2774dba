import { ACCEPT_FEASIBILITY, ACCEPT_Z, REFUSE_FEASIBILITY } from '../constants';
import { gainOfLook } from '../gain';
import { distanceBetween } from '../model/matern';
import { uniformStream } from '../random';
import type { SpaceOption } from './space';

export interface Scored {
  readonly option: SpaceOption;
  readonly index: number;
  /** Whether it was looked at, and then passed a limit. */
  readonly sight: 'unseen' | 'seen' | 'broke';
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

/** The probability of keeping the limits at which an option that was looked at is taken, and its standard normal quantile. */
export interface Margin {
  readonly accept: number;
  readonly z: number;
}
export const MARGIN: Margin = { accept: ACCEPT_FEASIBILITY, z: ACCEPT_Z };
export const NO_MARGIN: Margin = { accept: 0.5, z: 0 };
/**
 * What nobody has looked at must be all but sure: it is the best of many predictions, and the best of many flatters. Any
 * level from 0.95 on does about as well (docs/decisions/0085).
 */
const ACCEPT_UNSEEN = 0.98;
/** Without an option that keeps the limits, finding one comes first: each is worth the same. */
const RESCUE_GAIN = 0.3;
/** Dear looks count less, but little: what a look teaches differs more than what it costs. */
const PRICE_POWER = 0.2;

const isAccepted = ({ sight, feasibility }: Scored, { accept }: Margin) =>
  sight !== 'broke' && feasibility >= (sight === 'seen' ? accept : Math.max(accept, ACCEPT_UNSEEN));
const leastOf = (list: readonly Scored[]) => list.reduce((a, b) => (b.objective < a.objective ? b : a));

/** What to run if nothing more were looked at. */
export function recommended(list: readonly Scored[], margin: Margin): Scored {
  const safe = list.filter((scored) => isAccepted(scored, margin));
  if (safe.length > 0) return leastOf(safe);
  // Nothing is safe: the likeliest, and among those that stand for "no chance" alike the one that passes its limit least.
  const likeliest = list.reduce((a, b) => (b.feasibility > a.feasibility ? b : a));
  if (likeliest.feasibility < REFUSE_FEASIBILITY) return list.reduce((a, b) => (b.room > a.room ? b : a));
  return leastOf(list.filter(({ feasibility }) => feasibility >= 0.9 * likeliest.feasibility));
}

interface LookOptions {
  readonly margin: Margin;
  readonly noise: number;
  /** Whether a look is dear by its time or by its cost. */
  readonly isTime: boolean;
}
/** The unseen option with the most expected gain over the target, for its expected price. */
export function nextLook(
  list: readonly Scored[],
  target: Scored,
  { margin, noise, isTime }: LookOptions,
): { scored: Scored; gain: number } | undefined {
  const dearest = list.reduce((most, { costUsd }) => Math.max(most, costUsd), 0) || 1;
  const isRescue = target.feasibility < margin.accept;
  const ranked = list
    .filter(({ sight }) => sight === 'unseen')
    .map((scored) => {
      const { objective, room, logSd, doubt, timeMs, costUsd } = scored;
      const better = isRescue ? RESCUE_GAIN : Math.log(target.objective / objective) || 0;
      const gain = (1 - doubt) * gainOfLook({ better, room, logSd, logSdAfter: noise, acceptZ: margin.z });
      // The mean of a log-normal price: where little is known it is far above the median.
      const price = (isTime ? timeMs : Math.max(costUsd, 1e-6 * dearest)) * Math.exp(0.5 * logSd ** 2);
      return { scored, gain, score: gain / price ** PRICE_POWER };
    });
  return ranked.length === 0 ? undefined : ranked.reduce((a, b) => (b.score > a.score ? b : a));
}

/** Where to begin: the middle of the space, one of several alike by the seed. */
export function mostCentral(list: readonly Scored[], positions: readonly (readonly number[])[], seed: number): Scored {
  const jitter = uniformStream(seed, 0x317d);
  const middle = positions[0]!.map((_, d) => positions.reduce((sum, at) => sum + at[d]!, 0) / positions.length);
  const ranked = list.map((scored) => ({ scored, away: distanceBetween(positions[scored.index]!, middle) + 1e-3 * jitter() }));
  return ranked.reduce((a, b) => (b.away < a.away ? b : a)).scored;
}
