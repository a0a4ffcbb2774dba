import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createOptimizer, type Suggestion, type Trial } from '../../scheduler';
import { normalCdf, normalPdf } from '../../scheduler/normal';
import { uniformStream } from '../../scheduler/random';

/** One real configuration: what it took, and its price by the second. Null: it never finished. */
interface Row {
  readonly allocation: Record<string, number | string>;
  readonly seconds: number | null;
  readonly usdPerSecond: number;
}
interface Problem {
  readonly rows: readonly Row[];
  readonly goal: { minimize: 'cost'; deadlineMs: number } | { minimize: 'time'; budgetUsd: number };
  readonly seed: number;
}
interface Outcome {
  readonly regret: number | null;
}

const read = (file: string) => JSON.parse(readFileSync(join(__dirname, 'fixtures', file), 'utf8'));
const VCPUS: Record<string, number> = { large: 2, xlarge: 4, '2xlarge': 8 };
const GIB_PER_VCPU: Record<string, number> = { c4: 1.9, m4: 4, r4: 7.6 };

function scout(): Row[][] {
  const { surfaces, price } = read('scout-spark-hadoop.json') as {
    surfaces: Record<string, [string, number, number | null, number][]>;
    price: Record<string, number>;
  };
  return Object.values(surfaces).map((rows) =>
    rows.map(([vm, workers, seconds]) => {
      const [family, size] = vm.split('.') as [string, string];
      return {
        allocation: { family, vcpus: VCPUS[size]!, gibPerVcpu: GIB_PER_VCPU[family]!, workers },
        seconds,
        usdPerSecond: (price[vm]! * workers) / 3_600,
      };
    }),
  );
}
function cherryPick(): Row[][] {
  const { surfaces } = read('cherrypick.json') as { surfaces: Record<string, [string, number, number, number, number, number][]> };
  return Object.values(surfaces).map((rows) =>
    rows.map(([vm, vcpus, ramGb, workers, seconds, usd]) => ({
      allocation: { family: vm.split('.')[0]!, vcpus, gibPerVcpu: ramGb / vcpus, workers },
      seconds,
      usdPerSecond: usd / seconds,
    })),
  );
}

const quantile = (values: readonly number[], share: number) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))]!;
const costOf = (row: Row) => row.usdPerSecond * row.seconds!;
const objectiveOf = (row: Row, { goal }: Problem) => (goal.minimize === 'cost' ? costOf(row) : row.seconds!);
const keeps = (row: Row, { goal }: Problem) =>
  row.seconds !== null && (goal.minimize === 'cost' ? row.seconds * 1_000 <= goal.deadlineMs : costOf(row) <= goal.budgetUsd);

/** Limits that 20 to 65 % of the configurations keep, for both goals. */
function problemsOf(surfaces: readonly Row[][]): Problem[] {
  return surfaces.flatMap((rows) => {
    const done = rows.filter((row) => row.seconds !== null);
    return [0.2, 0.35, 0.5, 0.65].flatMap((share, seed): Problem[] => [
      {
        rows,
        seed,
        goal: {
          minimize: 'cost',
          deadlineMs:
            1_000 *
            quantile(
              done.map((row) => row.seconds!),
              share,
            ),
        },
      },
      { rows, seed, goal: { minimize: 'time', budgetUsd: quantile(done.map(costOf), share) } },
    ]);
  });
}
function judge(row: Row, problem: Problem): Outcome {
  if (!keeps(row, problem)) return { regret: null };
  const best = Math.min(...problem.rows.filter((each) => keeps(each, problem)).map((each) => objectiveOf(each, problem)));
  return { regret: objectiveOf(row, problem) / best - 1 };
}
function summary(outcomes: readonly Outcome[]) {
  const regrets = outcomes.flatMap(({ regret }) => (regret === null ? [] : [regret]));
  return { median: quantile(regrets, 0.5), violations: 1 - regrets.length / outcomes.length };
}

function play(problem: Problem, maxProbes: number): { last: Suggestion; trials: Trial[] } {
  const { rows, goal, seed } = problem;
  const optimizer = createOptimizer({
    space: { options: rows.map(({ allocation, usdPerSecond }) => ({ allocation, usdPerSecond })), workers: 'workers', vcpus: 'vcpus' },
    goal,
    seed,
    maxProbes,
  });
  const trials: Trial[] = [];
  for (;;) {
    const last = optimizer.suggest(trials);
    if (last.kind !== 'probe') return { last, trials };
    const row = rows.find(({ allocation }) => allocation === last.allocation || JSON.stringify(allocation) === JSON.stringify(last.allocation))!;
    trials.push(row.seconds === null ? { allocation: row.allocation, failed: true } : { allocation: row.allocation, timeMs: row.seconds * 1_000 });
  }
}
const withOurs = (problem: Problem): Outcome => {
  const { last } = play(problem, 8);
  return judge(
    problem.rows.find(({ allocation }) => JSON.stringify(allocation) === JSON.stringify(last.allocation))!,
    problem,
  );
};
const bestSeen = (seen: readonly Row[], problem: Problem): Row => {
  const finished = seen.filter((row) => row.seconds !== null);
  const kept = finished.filter((row) => keeps(row, problem));
  return [...(kept.length > 0 ? kept : finished)].sort((a, b) => objectiveOf(a, problem) - objectiveOf(b, problem))[0] ?? seen[0]!;
};
const withChance = (problem: Problem): Outcome => {
  const uniform = uniformStream(problem.seed, problem.rows.length, problem.goal.minimize.length);
  const seen = new Set<Row>();
  while (seen.size < 8) seen.add(problem.rows[Math.floor(uniform() * problem.rows.length)]!);
  return judge(bestSeen([...seen], problem), problem);
};

describe('createOptimizer', () => {
  it.each([
    ['Scout', scout, 0.12],
    ['CherryPick', cherryPick, 0.05],
  ])('beats chance on the real %s surfaces with 8 looks', (_name, load, most) => {
    const problems = problemsOf(load());
    const ours = summary(problems.map(withOurs));
    const chance = summary(problems.map(withChance));
    expect(ours.median).toBeLessThan(most);
    expect(ours.median).toBeLessThan(chance.median);
    expect(ours.violations).toBeLessThan(0.18);
  });

  it('never looks twice at one option, nor beyond its allowance, and repeats itself', () => {
    for (const problem of problemsOf(cherryPick()).slice(0, 6)) {
      const first = play(problem, 6);
      expect(first.trials.length).toBeLessThanOrEqual(6);
      expect(new Set(first.trials.map(({ allocation }) => JSON.stringify(allocation))).size).toBe(first.trials.length);
      expect(play(problem, 6)).toEqual(first);
    }
  });

  it('says infeasible when no option comes near the limit, and names the nearest', () => {
    const rows = cherryPick()[0]!;
    const { last } = play({ rows, seed: 1, goal: { minimize: 'cost', deadlineMs: 1_000 } }, 8);
    expect(last.kind).toBe('infeasible');
    expect(last.prediction.feasibility).toBeLessThan(0.05);
  });

  it('works without workers, speeds or prices, on any table of numbers', () => {
    const options = Array.from({ length: 30 }, (_, i) => ({ allocation: { x: i + 1 } }));
    const timeOf = (x: number) => 1_000 + 40 * (x - 21) ** 2;
    const optimizer = createOptimizer({ space: { options }, goal: { minimize: 'time' }, seed: 1, maxProbes: 10 });
    const trials: Trial[] = [];
    for (;;) {
      const next = optimizer.suggest(trials);
      const x = next.allocation['x'] as number;
      if (next.kind !== 'probe') {
        expect(timeOf(x)).toBeLessThan(1.1 * timeOf(21));
        return;
      }
      trials.push({ allocation: next.allocation, timeMs: timeOf(x) });
    }
  });

  it('asks a model that it is given', () => {
    const options = [1, 2, 4, 8].map((workers) => ({ allocation: { workers }, usdPerSecond: 1e-5 * workers }));
    const model =
      () =>
      ({ allocation }: { allocation: Record<string, number | string> }) => ({ timeMs: 1_000 / (allocation['workers'] as number) + 50, logSd: 0.05 });
    const optimizer = createOptimizer({ space: { options }, goal: { minimize: 'time' }, model, seed: 1 });
    expect(optimizer.suggest([])).toMatchObject({ kind: 'probe', allocation: { workers: 8 } });
  });

  it.each([
    ['an empty space', () => createOptimizer({ space: { options: [] }, goal: { minimize: 'time' }, seed: 1 })],
    [
      'a deadline of zero',
      () => createOptimizer({ space: { options: [{ allocation: { n: 1 } }] }, goal: { minimize: 'time', deadlineMs: 0 }, seed: 1 }),
    ],
    [
      'a time that is not a number',
      () =>
        createOptimizer({ space: { options: [{ allocation: { n: 1 } }] }, goal: { minimize: 'time' }, seed: 1 }).suggest([
          { allocation: { n: 1 }, timeMs: NaN },
        ]),
    ],
    [
      'a trial of another space',
      () =>
        createOptimizer({ space: { options: [{ allocation: { n: 1 } }] }, goal: { minimize: 'time' }, seed: 1 }).suggest([
          { allocation: { n: 2 }, timeMs: 1 },
        ]),
    ],
  ])('refuses %s', (_what, act) => {
    expect(act).toThrow(expect.objectContaining({ code: 'InvalidSpec' }));
  });
});

describe('the normal distribution', () => {
  it.each([
    [0, 0.5],
    [1, 0.8413447460685429],
    [-1.6448536269514722, 0.05],
    [3, 0.9986501019683699],
  ])('has %d at or below with probability %d', (z, probability) => {
    expect(normalCdf(z)).toBeCloseTo(probability, 6);
  });
  it('has its density as the slope of its distribution', () => {
    expect((normalCdf(0.701) - normalCdf(0.699)) / 0.002).toBeCloseTo(normalPdf(0.7), 3);
  });
});
