export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
}
export const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Regrets of those that kept the limit, in percent, and how often it was broken. */
export interface RegretSummary {
  readonly problems: number;
  readonly medianPercent: number;
  readonly meanPercent: number;
  readonly p95Percent: number;
  readonly violationsPercent: number;
  /** Broken by more than a twentieth. */
  readonly clearViolationsPercent: number;
}
export function summarise(results: readonly { readonly regret: number; readonly use: number }[]): RegretSummary {
  const regrets = results.filter(({ use }) => use <= 1).map(({ regret }) => 100 * Math.max(0, regret));
  const share = (broken: (use: number) => boolean) => (100 * results.filter(({ use }) => broken(use)).length) / results.length;
  return {
    problems: results.length,
    medianPercent: quantile(regrets, 0.5),
    meanPercent: mean(regrets),
    p95Percent: quantile(regrets, 0.95),
    violationsPercent: share((use) => use > 1),
    clearViolationsPercent: share((use) => use > 1.05),
  };
}
