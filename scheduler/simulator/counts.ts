/** What happened, over all rounds. */
export interface Counts {
  restarts: number;
  crashes: number;
  throttles: number;
  duplicates: number;
  lostValues: number;
  /** Second copies of stragglers. */
  copies: number;
  /** Time of invocations whose work nobody used. */
  lostMs: number;
  /** Time that workers computed. */
  computeMs: number;
  /** Samples whose gradients are in completed steps. */
  mergedSamples: number;
  movedBytes: number;
  puts: number;
  gets: number;
}
export const noCounts = (): Counts => ({
  ...{ restarts: 0, crashes: 0, throttles: 0, duplicates: 0, lostValues: 0, copies: 0 },
  ...{ lostMs: 0, computeMs: 0, mergedSamples: 0, movedBytes: 0, puts: 0, gets: 0 },
});
