import { z } from 'zod';
import { SmltError } from '../../contracts/errors';
import { parseWith } from '../../contracts/job';
import type { SurfacePlace } from './surface-point';

const Value = z.union([z.number(), z.string()]);
export const Setting = z.record(z.string(), Value);
export type Setting = z.output<typeof Setting>;

/** One configuration that may be chosen: its settings by name, and its price while it runs, where that is known. */
export const SpaceOption = z.strictObject({
  allocation: Setting,
  usdPerSecond: z.number().min(0).optional(),
});
export type SpaceOption = z.output<typeof SpaceOption>;

/** How many configurations a product of dimensions may have: each is scored at every suggestion. */
const MOST_OPTIONS = 20_000;
const Limits = z.strictObject({ minWorkers: z.int().min(1).optional(), maxWorkers: z.int().min(1).optional() });

/**
 * All configurations: listed, or every combination of the dimensions' values. `workers` and `vcpus` name the settings that
 * hold the number of machines and one machine's speed; without them nothing is assumed about how time scales, and more
 * looks are needed. `limits` bounds the setting that `workers` names.
 */
export const Space = z.strictObject({
  options: z.array(SpaceOption).min(1, 'expected at least one option').optional(),
  dimensions: z.record(z.string(), z.array(Value).min(1, 'expected at least one value')).optional(),
  workers: z.string().optional(),
  vcpus: z.string().optional(),
  limits: Limits.optional(),
});
export type Space = z.output<typeof Space>;
export interface ResolvedSpace {
  readonly options: readonly SpaceOption[];
  readonly workers: string | undefined;
  readonly vcpus: string | undefined;
}

/** @throws {SmltError} `InvalidSpec`: neither or both forms, no option left, an option twice, contradictory limits, a setting that is not there */
export function resolveSpace(given: z.input<typeof Space>): ResolvedSpace {
  const { options: listed, dimensions, workers, vcpus, limits } = parseWith(Space, given, 'the optimiser’s space');
  if ((listed === undefined) === (dimensions === undefined)) throw refused('expected either `options` or `dimensions`');
  const all = listed ?? product(dimensions!);
  for (const [role, name] of [['workers', workers] as const, ['vcpus', vcpus] as const]) {
    const missing = name === undefined ? undefined : all.find(({ allocation }) => !(typeof allocation[name] === 'number' && allocation[name] > 0));
    if (missing)
      throw refused(
        `\`${role}\` names the setting “${name}”: expected a number above 0 in every option, not in ${JSON.stringify(missing.allocation)}`,
      );
  }
  const keys = new Set<string>();
  for (const { allocation } of all) {
    if (keys.has(keyOf(allocation))) throw refused(`${JSON.stringify(allocation)} is there twice: list each option once`);
    keys.add(keyOf(allocation));
  }
  const options = limits === undefined ? all : within(all, workers, limits);
  const priced = options.filter(({ usdPerSecond }) => usdPerSecond !== undefined).length;
  if (priced > 0 && priced < options.length) {
    const { allocation } = options.find(({ usdPerSecond }) => usdPerSecond === undefined)!;
    throw refused(`no price (usdPerSecond) for ${JSON.stringify(allocation)}: give every option’s, or none and each observation’s costUsd`);
  }
  return { options, workers, vcpus };
}

function product(dimensions: Readonly<Record<string, readonly (number | string)[]>>): SpaceOption[] {
  const names = Object.keys(dimensions);
  if (names.length === 0) throw refused('no dimension: expected at least one');
  const count = names.reduce((total, name) => total * dimensions[name]!.length, 1);
  if (count > MOST_OPTIONS) throw refused(`${count} combinations: expected at most ${MOST_OPTIONS}; give fewer values`);
  return names
    .reduce<Setting[]>((made, name) => made.flatMap((setting) => dimensions[name]!.map((value) => ({ ...setting, [name]: value }))), [{}])
    .map((allocation) => ({ allocation }));
}

function within(options: readonly SpaceOption[], workers: string | undefined, { minWorkers = 1, maxWorkers = Infinity }: z.output<typeof Limits>) {
  if (workers === undefined) throw refused('`limits` bounds workers: name their setting in `workers`');
  if (minWorkers > maxWorkers) throw refused(`limits contradict each other: at least ${minWorkers} workers, at most ${maxWorkers}`);
  const kept = options.filter(({ allocation }) => Number(allocation[workers]) >= minWorkers && Number(allocation[workers]) <= maxWorkers);
  if (kept.length === 0) throw refused(`no option has ${minWorkers} to ${maxWorkers} workers: change the limits or add options`);
  return kept;
}

const refused = (what: string) => new SmltError('InvalidSpec', `the optimiser’s space is not valid: ${what}`);

export const keyOf = (allocation: Setting): string => JSON.stringify(Object.entries(allocation).sort(([a], [b]) => (a < b ? -1 : 1)));

/** Where every option lies: numbers on a logarithmic scale from 0 to 1, words apart from each other by one step each. */
function positionsOf({ options }: ResolvedSpace): number[][] {
  const names = [...new Set(options.flatMap(({ allocation }) => Object.keys(allocation)))].sort();
  const columns = names.flatMap((name): number[][] => {
    const values = options.map(({ allocation }) => allocation[name]);
    if (values.every((value) => typeof value === 'number')) {
      const [lowest, highest] = extremes(values);
      const scaled = lowest > 0 ? values.map(Math.log) : values;
      const [least, most] = lowest > 0 ? [Math.log(lowest), Math.log(highest)] : [lowest, highest];
      return most === least ? [] : [scaled.map((value) => (value - least) / (most - least))];
    }
    const words = [...new Set(values)].sort();
    return words.length < 2 ? [] : words.map((word) => values.map((value) => (value === word ? WORD_STEP : 0)));
  });
  return options.map((_, i) => columns.map((column) => column[i]!));
}
/** Two unlike words are about half the range apart. */
const WORD_STEP = 0.35;
const extremes = (values: readonly number[]) =>
  values.reduce<[number, number]>(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);

/** How time may scale, for code that nobody knows: 1/(n v), 1/n, 1, ln n, n. Source: rules, section 3, last paragraph. */
function scalingFeatures({ workers, vcpus }: ResolvedSpace, { allocation }: SpaceOption): number[] {
  const n = workers === undefined ? undefined : Number(allocation[workers]);
  const v = vcpus === undefined ? 1 : Number(allocation[vcpus]);
  if (n === undefined || n < 1) return vcpus === undefined ? [1] : [1, 1 / v];
  return [1 / (n * v), 1 / n, 1, Math.log(n), n];
}

/** Every option as models of its time see it. */
export function placesOf(space: ResolvedSpace): SurfacePlace[] {
  const positions = positionsOf(space);
  const scaling = [space.workers, space.vcpus].filter((name) => name !== undefined);
  return space.options.map((option, i) => ({
    features: scalingFeatures(space, option),
    at: positions[i]!,
    logs: scaling.map((name) => Math.log(Number(option.allocation[name]))),
  }));
}
