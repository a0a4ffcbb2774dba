import { z } from 'zod';

const Value = z.union([z.number(), z.string()]);

/** One configuration that may be chosen: its settings by name, and its price while it runs, where that is known. */
export const SpaceOption = z.strictObject({
  allocation: z.record(z.string(), Value),
  usdPerSecond: z.number().min(0).optional(),
});
export type SpaceOption = z.output<typeof SpaceOption>;

/**
 * All configurations. `workers` and `vcpus` name the settings that hold the number of machines and one machine's speed;
 * without them nothing is assumed about how time scales, and more probes are needed.
 */
export const Space = z.strictObject({
  options: z.array(SpaceOption).min(1, 'expected at least one option'),
  workers: z.string().optional(),
  vcpus: z.string().optional(),
});
export type Space = z.output<typeof Space>;

export const keyOf = (allocation: Readonly<Record<string, number | string>>): string =>
  JSON.stringify(Object.entries(allocation).sort(([a], [b]) => (a < b ? -1 : 1)));

/** Where every option lies: numbers on a logarithmic scale from 0 to 1, words apart from each other by one step each. */
export function positionsOf({ options }: Space): number[][] {
  const names = [...new Set(options.flatMap(({ allocation }) => Object.keys(allocation)))].sort();
  const columns = names.flatMap((name): number[][] => {
    const values = options.map(({ allocation }) => allocation[name]);
    if (values.every((value) => typeof value === 'number')) {
      const scaled = Math.min(...values) > 0 ? values.map(Math.log) : values;
      const least = Math.min(...scaled);
      const width = Math.max(...scaled) - least;
      return width === 0 ? [] : [scaled.map((value) => (value - least) / width)];
    }
    const words = [...new Set(values)].sort();
    return words.length < 2 ? [] : words.map((word) => values.map((value) => (value === word ? WORD_STEP : 0)));
  });
  return options.map((_, i) => columns.map((column) => column[i]!));
}
/** Two unlike words are about half the range apart. */
const WORD_STEP = 0.35;

/** How time may scale, for code that nobody knows: 1/(n v), 1/n, 1, ln n, n. Source: rules, section 3, last paragraph. */
export function scalingFeatures({ workers, vcpus }: Space, { allocation }: SpaceOption): number[] {
  const n = workers === undefined ? undefined : allocation[workers];
  const v = vcpus === undefined ? 1 : allocation[vcpus];
  if (typeof n !== 'number' || !(n >= 1)) return typeof v === 'number' && v > 0 && vcpus !== undefined ? [1, 1 / v] : [1];
  return [1 / (n * (typeof v === 'number' && v > 0 ? v : 1)), 1 / n, 1, Math.log(n), n];
}
