import { z } from 'zod';

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A span of time as people write it: `90s`, `10m`, `1.5h`, `2d`, or parts of it together: `1h30m`. */
export const Duration = z.string().regex(/^(\d+(\.\d+)?(ms|s|m|h|d))+$/, 'expected a duration such as 90s, 10m or 1h30m');
export const Instant = z.iso.datetime({ offset: true, error: 'expected an instant such as 2027-01-31T18:00:00Z' });

export function durationMs(duration: string): number {
  let totalMs = 0;
  for (const [, amount, unit] of duration.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) totalMs += Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS];
  return totalMs;
}

export const NANO_USD_PER_USD = 1_000_000_000;
/** Rounded up: a bill is never understated. */
export const nanoUsd = (usd: number): number => Math.ceil(usd * NANO_USD_PER_USD - 1e-6);
export const usd = (nano: number): number => nano / NANO_USD_PER_USD;
