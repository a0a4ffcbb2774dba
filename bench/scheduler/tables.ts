// Problems given as tables: every configuration with its true time and cost. Real measurements, and made-up jobs in the same form.
import { normalFrom, uniformStream } from '../../scheduler/random';
import cherryPickData from './data/cherrypick.json';
import scoutData from './data/scout-spark-hadoop.json';
import type { Job } from './job';

/** One configuration: what it took, and its price by the second. Null: it never finished. */
export interface Row {
  readonly allocation: Record<string, number | string>;
  readonly seconds: number | null;
  readonly usd: number;
  readonly usdPerSecond: number;
}
export interface Table {
  readonly name: string;
  readonly rows: readonly Row[];
  readonly minimize: 'cost' | 'time';
  /** Seconds where cost is minimised, dollars where time is. */
  readonly limit: number;
  readonly seed: number;
  /** SD of the logarithm of a look. Real tables repeat themselves. */
  readonly noise: number;
}

const VCPUS: Record<string, number> = { large: 2, xlarge: 4, '2xlarge': 8 };
const GIB_PER_VCPU: Record<string, number> = { c4: 1.9, m4: 4, r4: 7.6 };

export function scoutRows(): Row[][] {
  const { surfaces, price } = scoutData as unknown as {
    surfaces: Record<string, [string, number, number | null, number][]>;
    price: Record<string, number>;
  };
  return Object.values(surfaces).map((rows) =>
    rows.map(([vm, workers, seconds]) => {
      const [family, size] = vm.split('.') as [string, string];
      const usdPerSecond = (price[vm]! * workers) / 3_600;
      const allocation = { family, vcpus: VCPUS[size]!, gibPerVcpu: GIB_PER_VCPU[family]!, workers };
      return { allocation, seconds, usdPerSecond, usd: (seconds ?? 0) * usdPerSecond };
    }),
  );
}
export function cherryPickRows(): Row[][] {
  const { surfaces } = cherryPickData as unknown as { surfaces: Record<string, [string, number, number, number, number, number][]> };
  return Object.values(surfaces).map((rows) =>
    rows.map(([vm, vcpus, ramGb, workers, seconds, usd]) => ({
      allocation: { family: vm.split('.')[0]!, vcpus, gibPerVcpu: ramGb / vcpus, workers },
      seconds,
      usd,
      usdPerSecond: usd / seconds,
    })),
  );
}

const quantile = (values: readonly number[], share: number) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))]!;

/** Limits that 20 to 65 % of the configurations keep, for both goals. */
export function tablesOf(name: string, surfaces: readonly Row[][], seeds: readonly number[] = [0]): Table[] {
  return surfaces.flatMap((rows, surface) => {
    const done = rows.filter(({ seconds }) => seconds !== null);
    const limits = { cost: done.map(({ seconds }) => seconds!), time: done.map(({ usd }) => usd) };
    return seeds.flatMap((seed) =>
      [0.2, 0.35, 0.5, 0.65].flatMap((share, i) =>
        (['cost', 'time'] as const).map((minimize): Table => {
          return { name: `${name} ${surface}`, rows, minimize, limit: quantile(limits[minimize], share), seed: 10 * seed + i, noise: 0 };
        }),
      ),
    );
  });
}

/** A made-up job in the same form, for methods that know nothing of steps and their parts. */
export function tableOf(job: Job): Table {
  const rows = job.shapes.map((shape): Row => {
    const [seconds, usd] = [job.timeMs(shape) / 1_000, job.costUsd(shape)];
    return { allocation: { workers: shape.workers, memoryMib: shape.memoryMib }, seconds, usd, usdPerSecond: usd / seconds };
  });
  const first = job.shapes[0]!;
  const limit = (job.minimize === 'cost' ? job.timeMs(first) / 1_000 : job.costUsd(first)) / job.use(first);
  return { name: job.family, rows, minimize: job.minimize, limit, seed: job.seed, noise: job.noise };
}

/** What a look at a row shows. Source of the 5 % stragglers: docs/scheduler.md. */
export function look({ rows, seed, noise }: Table, index: number): { seconds: number | null; usd: number } {
  const { seconds, usd } = rows[index]!;
  if (seconds === null || noise === 0) return { seconds, usd };
  const draw = uniformStream(seed, index, 0x100c);
  const factor = (draw() < 0.05 ? 1.3 + 1.2 * draw() : 1) * Math.exp(noise * normalFrom(draw));
  return { seconds: seconds * factor, usd: usd * factor };
}

export const objectiveOf = ({ minimize }: Table, { seconds, usd }: { seconds: number | null; usd: number }): number =>
  seconds === null ? Infinity : minimize === 'cost' ? usd : seconds;
/** What the goal limits, as a share of its limit. */
export const useOf = ({ minimize, limit }: Table, { seconds, usd }: { seconds: number | null; usd: number }): number =>
  seconds === null ? Infinity : (minimize === 'cost' ? seconds : usd) / limit;

export function judge(table: Table, index: number): { regret: number; use: number } {
  const best = Math.min(...table.rows.filter((row) => useOf(table, row) <= 1).map((row) => objectiveOf(table, row)));
  const row = table.rows[index]!;
  return { regret: objectiveOf(table, row) / best - 1, use: useOf(table, row) };
}
