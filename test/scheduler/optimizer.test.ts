import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { smltGeneral } from '../../bench/scheduler/general';
import { summarise } from '../../bench/scheduler/statistics';
import { cherryPickRows, judge, scoutRows, tablesOf, useOf, type Table } from '../../bench/scheduler/tables';
import * as scheduler from '../../scheduler';
import { createOptimizer, type OptimizerOptions, type Suggestion, type Trial } from '../../scheduler';
import { normalCdf, normalPdf } from '../../scheduler/normal';
import { uniformStream } from '../../scheduler/random';

function play({ rows, minimize, limit, seed }: Table, maxProbes: number): { last: Suggestion; trials: Trial[] } {
  const optimizer = createOptimizer({
    space: { options: rows.map(({ allocation, usdPerSecond }) => ({ allocation, usdPerSecond })), workers: 'workers', vcpus: 'vcpus' },
    goal: minimize === 'cost' ? { minimize, deadlineMs: limit * 1_000 } : { minimize, budgetUsd: limit },
    seed,
    maxProbes,
  });
  const trials: Trial[] = [];
  for (;;) {
    const last = optimizer.suggest(trials);
    if (last.kind !== 'probe') return { last, trials };
    const { allocation, seconds } = rows.find((row) => JSON.stringify(row.allocation) === JSON.stringify(last.allocation))!;
    trials.push(seconds === null ? { allocation, failed: true } : { allocation, timeMs: seconds * 1_000 });
  }
}
/** Eight looks anywhere, then the best of what was seen. */
function byChance(table: Table): number {
  const { rows, seed, minimize } = table;
  const uniform = uniformStream(seed, rows.length, minimize.length);
  const seen = Array.from({ length: 8 }, () => Math.floor(uniform() * rows.length));
  const kept = seen.filter((index) => useOf(table, rows[index]!) <= 1);
  const objective = (index: number) => (minimize === 'cost' ? rows[index]!.usd : (rows[index]!.seconds ?? Infinity));
  return (kept.length > 0 ? kept : seen).reduce((a, b) => (objective(b) < objective(a) ? b : a));
}

describe('createOptimizer', () => {
  it.each([
    ['Scout', scoutRows, 9],
    ['CherryPick', cherryPickRows, 4],
  ])('beats chance on the real %s surfaces with 8 looks', (name, load, most) => {
    const tables = tablesOf(name, load());
    const ours = summarise(tables.map((table) => judge(table, smltGeneral(table, 8))));
    const chance = summarise(tables.map((table) => judge(table, byChance(table))));
    expect(ours.medianPercent).toBeLessThan(most);
    expect(ours.medianPercent).toBeLessThan(chance.medianPercent);
    expect(ours.violationsPercent).toBeLessThan(4);
  });

  it('never looks twice at one option, nor beyond its allowance, and repeats itself', () => {
    for (const table of tablesOf('CherryPick', cherryPickRows()).slice(0, 6)) {
      const first = play(table, 6);
      expect(first.trials.length).toBeLessThanOrEqual(6);
      expect(new Set(first.trials.map(({ allocation }) => JSON.stringify(allocation))).size).toBe(first.trials.length);
      expect(play(table, 6)).toEqual(first);
    }
  });

  it('never runs what was seen to break the limit while another was seen to keep it', () => {
    for (const table of tablesOf('CherryPick', cherryPickRows()).filter((_, i) => i % 3 === 0)) {
      const { last, trials } = play(table, 5);
      const useOfAllocation = (wanted: Trial['allocation']) =>
        useOf(
          table,
          table.rows.find(({ allocation }) => JSON.stringify(allocation) === JSON.stringify(wanted))!,
        );
      const uses = trials.map(({ allocation }) => useOfAllocation(allocation));
      const isSeen = trials.some(({ allocation }) => JSON.stringify(allocation) === JSON.stringify(last.allocation));
      if (isSeen && Math.min(...uses) <= 1) expect(useOfAllocation(last.allocation)).toBeLessThanOrEqual(1);
    }
  });

  it('asks for more room where the noise of a measurement is stated', () => {
    // Two of 2 and 4 workers keep the limit as measured, the cheaper one by 1 %.
    const options = [2, 4].map((workers) => ({ allocation: { workers }, usdPerSecond: workers ** 1.5 }));
    const trials: Trial[] = [
      { allocation: { workers: 2 }, timeMs: 99 },
      { allocation: { workers: 4 }, timeMs: 60 },
    ];
    const goal = { minimize: 'cost' as const, deadlineMs: 100 };
    const chosen = (noise?: number) =>
      createOptimizer({ space: { options, workers: 'workers' }, goal, seed: 1, maxProbes: 2, ...(noise ? { noise } : {}) }).suggest(trials);
    expect(chosen()).toMatchObject({ kind: 'run', allocation: { workers: 2 } });
    expect(chosen(0.05)).toMatchObject({ kind: 'run', allocation: { workers: 4 } });
  });

  it('says infeasible when no option comes near the limit, and names the nearest', () => {
    const rows = cherryPickRows()[0]!;
    const { last } = play({ name: 'kmeans', rows, seed: 1, minimize: 'cost', limit: 1, noise: 0 }, 8);
    expect(last.kind).toBe('infeasible');
    expect(last.prediction.feasibility).toBeLessThan(0.05);
    const fastest = Math.min(...rows.map(({ seconds }) => seconds!));
    const named = rows.find(({ allocation }) => JSON.stringify(allocation) === JSON.stringify(last.allocation))!;
    expect(named.seconds! / fastest).toBeLessThan(1.5);
  });

  it('takes every combination of dimensions, words among them, and learns prices from observations', () => {
    const optimizer = createOptimizer({
      space: { dimensions: { workers: [1, 2, 4, 8, 16], disk: ['hdd', 'ssd'] }, workers: 'workers', limits: { maxWorkers: 8 } },
      goal: { minimize: 'cost', deadlineMs: 30_000 },
      seed: 3,
      maxProbes: 8,
    });
    const timeMsOf = (n: number, disk: unknown) => (disk === 'ssd' ? 1 : 3) * (4_000 + 80_000 / n);
    const trials: Trial[] = [];
    for (;;) {
      const { kind, allocation } = optimizer.suggest(trials);
      const workers = Number(allocation['workers']);
      expect(workers).toBeLessThanOrEqual(8);
      if (kind !== 'probe') {
        expect(allocation).toEqual({ workers: 4, disk: 'ssd' });
        return;
      }
      const timeMs = timeMsOf(workers, allocation['disk']);
      trials.push({ allocation, timeMs, costUsd: 1e-6 * workers * timeMs });
    }
  });

  it('weighs an hour in dollars where it is told to', () => {
    const options = [1, 2, 4, 8, 16, 32].map((workers) => ({ allocation: { workers }, usdPerSecond: (0.1 * workers ** 1.2) / 3_600 }));
    const model = () => (option: { allocation: Record<string, number | string> }) => ({
      timeMs: 3_600_000 * (0.05 + 1 / Number(option.allocation['workers'])),
      logSd: 0.02,
    });
    const chosen = (usdPerHour: number) =>
      Number(
        createOptimizer({ space: { options }, goal: { minimize: { usdPerHour } }, model, seed: 1, maxProbes: 0 }).suggest([]).allocation['workers'],
      );
    expect(chosen(0.01)).toBeLessThanOrEqual(2);
    expect(chosen(100)).toBe(32);
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

  const small: OptimizerOptions = {
    space: { options: [1, 2, 4].map((n) => ({ allocation: { n } })), workers: 'n' },
    goal: { minimize: 'time' },
    seed: 1,
  };
  const suggest = (change: Partial<OptimizerOptions>, observations: readonly unknown[] = []) =>
    createOptimizer({ ...small, ...change }).suggest(observations as Trial[]);
  it.each([
    ['an empty space', /at least one option/, () => suggest({ space: { options: [] } })],
    ['a space without options', /either `options` or `dimensions`/, () => suggest({ space: {} })],
    ['an option twice', /is there twice/, () => suggest({ space: { options: [{ allocation: { n: 1 } }, { allocation: { n: 1 } }] } })],
    ['a role whose setting is not there', /`vcpus` names the setting “cores”/, () => suggest({ space: { ...small.space, vcpus: 'cores' } })],
    [
      'limits that contradict',
      /at least 8 workers, at most 4/,
      () => suggest({ space: { ...small.space, limits: { minWorkers: 8, maxWorkers: 4 } } }),
    ],
    ['limits that leave nothing', /no option has 8 to/, () => suggest({ space: { ...small.space, limits: { minWorkers: 8 } } })],
    [
      'a price that is missing',
      /no price \(usdPerSecond\) for \{"n":2\}/,
      () => suggest({ space: { options: [{ allocation: { n: 1 }, usdPerSecond: 1 }, { allocation: { n: 2 } }] } }),
    ],
    [
      'no price at all where the goal counts dollars',
      /no price for/,
      () => suggest({ goal: { minimize: 'cost' } }, [{ allocation: { n: 1 }, timeMs: 5 }]),
    ],
    ['a deadline of zero', /more than 0/, () => suggest({ goal: { minimize: 'time', deadlineMs: 0 } })],
    ['a budget of zero', /more than 0/, () => suggest({ goal: { minimize: 'time', budgetUsd: 0 } })],
    ['a deadline before now', /passed 5 ms ago/, () => suggest({ goal: { minimize: 'cost', deadlineAtMs: 95 }, nowMs: 100 })],
    ['a moment without now', /nowMs/, () => suggest({ goal: { minimize: 'cost', deadlineAtMs: 95 } })],
    ['a time that is not a number', /observation 0/, () => suggest({}, [{ allocation: { n: 1 }, timeMs: NaN }])],
    [
      'a time of zero',
      /observation 1/,
      () =>
        suggest({}, [
          { allocation: { n: 1 }, timeMs: 1 },
          { allocation: { n: 1 }, timeMs: 0 },
        ]),
    ],
    ['an observation of another space', /\{"n":3\} is not in the space/, () => suggest({}, [{ allocation: { n: 3 }, timeMs: 1 }])],
    [
      'an observation of another program',
      /“v1”, expected “v2”/,
      () => suggest({ programVersion: 'v2' }, [{ allocation: { n: 1 }, timeMs: 1, programVersion: 'v1' }]),
    ],
    ['a model that says NaN', /the model says timeMs NaN/, () => suggest({ model: () => () => ({ timeMs: NaN, logSd: 1 }) })],
    [
      'a space where all has failed',
      /all 3 options/,
      () =>
        suggest(
          {},
          [1, 2, 4].map((n) => ({ allocation: { n }, failed: true })),
        ),
    ],
    ['looks below zero', /maxProbes -1/, () => suggest({ maxProbes: -1 })],
  ])('refuses %s, and says what was expected', (_what, message, act) => {
    expect(act).toThrow(expect.objectContaining({ code: 'InvalidSpec', message: expect.stringMatching(message) }));
  });

  it('does what its page shows', () => {
    const page = readFileSync(join(__dirname, '..', '..', 'docs', 'scheduler.md'), 'utf8');
    const code = /```js\n(const \{ createOptimizer[\s\S]*?)```/.exec(page)![1]!;
    const lines: string[] = [];
    runInNewContext(code, { require: () => scheduler, console: { log: (line: string) => lines.push(line) } });
    expect(lines.at(-1)).toMatch(/^run /);
    expect(page).toContain(lines.at(-1)!);
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
