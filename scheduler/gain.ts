import { normalCdf, normalPdf } from './normal';

export interface Prospect {
  /** Logarithm of the target's objective over this one's: what there is to gain. */
  readonly better: number;
  /** Logarithm of the nearest limit over what this plan needs of it; Infinity without limits. */
  readonly room: number;
  /** SD of the logarithm of the time. */
  readonly logSd: number;
  /** What is left of it after a look. */
  readonly logSdAfter: number;
  /** Standard normal quantile of the probability at which plans are accepted. */
  readonly acceptZ: number;
}

/**
 * Expected gain of a look, as a share of the target's objective (its logarithm): the plan must turn out better, and well
 * enough within its limits to be accepted afterwards. Time and cost go with the same step time, so both conditions are
 * bounds of one normal variable z: the integral of (better - z) over z below both. Source: Gardner et al. 2014 for the idea
 * (constrained expected improvement), here with the margin that the acceptance asks for.
 */
export function gainOfLook({ better, room, logSd, logSdAfter, acceptZ }: Prospect): number {
  const after = Math.min(logSd, logSdAfter);
  const sd = Math.sqrt(Math.max(logSd ** 2 - after ** 2, 1e-8));
  const most = Math.min(better, room - acceptZ * after) / sd;
  return Math.max(0, better * normalCdf(most) + sd * normalPdf(most));
}
