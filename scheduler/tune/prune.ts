import { median } from '../normal';

export interface Rung {
  /** This trial's metric at the rung. */
  readonly value: number;
  /** The other trials' metric at the same rung, those pruned there included. */
  readonly others: readonly number[];
  readonly step: number;
  readonly minimize?: boolean;
}

/** A median of fewer says nothing. */
const LEAST_OTHERS = 2;

/** Whether a trial is worse than the median of the others at this rung. Source: Golovin et al. 2017 (Vizier), median stopping. */
export function medianPrune({ value, others, step, minimize = true }: Rung): boolean {
  if (step <= 0) return false;
  if (!Number.isFinite(value)) return true;
  const known = others.filter((other) => Number.isFinite(other));
  if (known.length < LEAST_OTHERS) return false;
  return minimize ? value > median(known) : value < median(known);
}
