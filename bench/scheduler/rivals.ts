// Published methods, written anew as their papers describe them, on the same tables. Where a paper names no way to keep a
// limit, breaking one is penalised in what the method sees, and the best that it has seen to keep it is recommended.
import { gaussianProcess } from '../../scheduler/model/matern';
import { nnls } from '../../scheduler/model/nnls';
import { normalCdf, normalPdf } from '../../scheduler/normal';
import { uniformStream, type Uniform } from '../../scheduler/random';
import { look, objectiveOf, useOf, type Table } from './tables';

/** Recommends a row after `looks` looks. */
export type Method = (table: Table, looks: number) => number;

interface Seen {
  readonly index: number;
  readonly logObjective: number;
  readonly use: number;
}
/** A look as most methods see it. Never finished: as bad as nothing else. */
function see(table: Table, index: number): Seen {
  const shown = look(table, index);
  const use = useOf(table, shown);
  const objective = objectiveOf(table, shown);
  return { index, logObjective: Number.isFinite(objective) ? Math.log(objective) : 20, use };
}
const penalised = ({ logObjective, use }: Seen) => logObjective + 5 * Math.max(0, Math.log(Math.min(use, 1e3)));
const bestOf = (seen: readonly Seen[]) => {
  const kept = seen.filter(({ use }) => use <= 1);
  return (kept.length > 0 ? kept : seen).reduce((a, b) => (penalised(b) < penalised(a) ? b : a)).index;
};
function unseen(draw: Uniform, count: number, seen: readonly Seen[]): number {
  for (;;) {
    const index = Math.floor(draw() * count);
    if (seen.every((each) => each.index !== index) || seen.length >= count) return index;
  }
}
const drawOf = ({ seed, minimize, rows }: Table, method: number) => uniformStream(seed, minimize.length, rows.length, method);

export const random: Method = (table, looks) => {
  const draw = drawOf(table, 1);
  const seen: Seen[] = [];
  while (seen.length < looks) seen.push(see(table, unseen(draw, table.rows.length, seen)));
  return bestOf(seen);
};

/** Every row's place between 0 and 1 on each axis; words get an axis each. */
function placesOf({ rows }: Table, isLog: boolean): number[][] {
  const names = Object.keys(rows[0]!.allocation);
  const columns = names.flatMap((name) => {
    const values = rows.map(({ allocation }) => allocation[name]!);
    if (values.some((value) => typeof value === 'string'))
      return [...new Set(values)].map((word) => values.map((value) => (value === word ? 0.5 : 0)));
    const scaled = values.map((value) => (isLog ? Math.log(Number(value)) : Number(value)));
    const [least, most] = [Math.min(...scaled), Math.max(...scaled)];
    return most === least ? [] : [scaled.map((value) => (value - least) / (most - least))];
  });
  return rows.map((_, i) => columns.map((column) => column[i]!));
}
/** A process on values with their mean and spread taken off. */
function fit(places: readonly (readonly number[])[], seen: readonly Seen[], value: (each: Seen) => number) {
  const values = seen.map(value);
  const mean = values.reduce((sum, each) => sum + each, 0) / values.length;
  const spread = Math.sqrt(values.reduce((sum, each) => sum + (each - mean) ** 2, 0) / values.length) || 1;
  const points = seen.map(({ index }, i) => ({ at: places[index]!, value: (values[i]! - mean) / spread, noise: 0.05 }));
  const lengths = [0.2, 0.4, 0.8, 1.6].map((length) => gaussianProcess(points, 1, length));
  const process = lengths.reduce((a, b) => (b.logEvidence > a.logEvidence ? b : a));
  return (index: number) => {
    const { mean: m, variance } = process.predict(places[index]!);
    return { mean: mean + spread * m, sd: spread * Math.sqrt(variance) };
  };
}
const others = (table: Table, seen: readonly Seen[]) => table.rows.map((_, i) => i).filter((i) => seen.every(({ index }) => index !== i));

/** SMLT (Ali et al. 2022): a Gaussian process on linear axes, upper confidence bound, two random looks first, fixed afterwards. */
export const smltPublished: Method = (table, looks) => {
  const draw = drawOf(table, 2);
  const places = placesOf(table, false);
  const seen: Seen[] = [];
  while (seen.length < Math.min(2, looks)) seen.push(see(table, unseen(draw, table.rows.length, seen)));
  while (seen.length < looks) {
    const model = fit(places, seen, penalised);
    const bound = (index: number) => model(index).mean - 2.576 * model(index).sd;
    seen.push(
      see(
        table,
        others(table, seen).reduce((a, b) => (bound(b) < bound(a) ? b : a)),
      ),
    );
  }
  return bestOf(seen);
};

/** CherryPick (Alipourfard et al. 2017): three looks apart, then expected improvement times the chance to keep the limit; the best seen. */
export const cherryPick: Method = (table, looks) => {
  const draw = drawOf(table, 3);
  const places = placesOf(table, true);
  const seen: Seen[] = [];
  while (seen.length < Math.min(3, looks)) seen.push(see(table, unseen(draw, table.rows.length, seen)));
  while (seen.length < looks) {
    const objective = fit(places, seen, ({ logObjective }) => logObjective);
    const use = fit(places, seen, (each) => Math.log(Math.min(each.use, 1e3)));
    const kept = seen.filter((each) => each.use <= 1);
    const incumbent = Math.min(...(kept.length > 0 ? kept : seen).map(({ logObjective }) => logObjective));
    const score = (index: number) => {
      const { mean, sd } = objective(index);
      const limit = use(index);
      const z = (incumbent - mean) / sd;
      return normalCdf(-limit.mean / limit.sd) * ((incumbent - mean) * normalCdf(z) + sd * normalPdf(z));
    };
    seen.push(
      see(
        table,
        others(table, seen)
          .map((index) => ({ index, score: score(index) }))
          .reduce((a, b) => (b.score > a.score ? b : a)).index,
      ),
    );
  }
  return bestOf(seen);
};

/** Ernest (Venkataraman et al. 2016): non-negative least squares on 1, 1/n, ln n and n; looks spread over n; the prediction, no margin. */
export const ernest: Method = (table, looks) => {
  const draw = drawOf(table, 4);
  const { rows } = table;
  const sizeOf = (index: number) =>
    Number(rows[index]!.allocation['workers']) * Number(rows[index]!.allocation['vcpus'] ?? Number(rows[index]!.allocation['memoryMib']) / 1_769);
  const bySize = rows.map((_, i) => i).sort((a, b) => sizeOf(a) - sizeOf(b) || a - b);
  const looked = Array.from({ length: looks }, (_, k) => bySize[Math.min(rows.length - 1, Math.floor(((k + draw()) / looks) * rows.length))]!);
  const features = (index: number) => {
    const n = Number(rows[index]!.allocation['workers']);
    return [1, 1 / sizeOf(index), Math.log(n), n];
  };
  const done = looked.flatMap((index) => {
    const { seconds } = look(table, index);
    return seconds === null ? [] : [{ index, seconds }];
  });
  if (done.length === 0) return looked[0]!;
  const theta = nnls(
    done.map(({ index, seconds }) => features(index).map((phi) => phi / seconds)),
    done.map(() => 1),
  );
  const predicted = rows.map((row, index) => {
    const seconds = Math.max(
      1e-9,
      features(index).reduce((sum, phi, j) => sum + phi * theta[j]!, 0),
    );
    return { index, shown: { seconds, usd: seconds * row.usdPerSecond } };
  });
  const kept = predicted.filter(({ shown }) => useOf(table, shown) <= 1);
  if (kept.length === 0) return predicted.reduce((a, b) => (useOf(table, b.shown) < useOf(table, a.shown) ? b : a)).index;
  return kept.reduce((a, b) => (objectiveOf(table, b.shown) < objectiveOf(table, a.shown) ? b : a)).index;
};

/** A table as bench/peers/optimizers.py reads it. */
export function forPython(table: Table) {
  const seen = table.rows.map((_, index) => see(table, index));
  return { places: placesOf(table, true), seen: seen.map(penalised), use: seen.map(({ use }) => Math.min(use, 1e6)), seed: table.seed };
}
