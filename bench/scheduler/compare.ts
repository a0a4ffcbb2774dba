// All methods on the same problems, in one table.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { smltGeneral } from './general';
import { jobOf, type Job } from './job';
import { smlt, type Outcome } from './probing';
import { cherryPick, ernest, forPython, random, smltPublished, type Method } from './rivals';
import { specified } from './specified';
import { summarise, type RegretSummary } from './statistics';
import { families } from './surface';
import { cherryPickRows, judge, scoutRows, tableOf, tablesOf, type Table } from './tables';

export interface Compared extends RegretSummary {
  readonly set: string;
  readonly method: string;
  readonly looks: number;
}

const methods: Record<string, Method> = {
  'smlt, any table': smltGeneral,
  CherryPick: cherryPick,
  Ernest: ernest,
  'SMLT as published': smltPublished,
  random,
};

/** Those that see the micro-probe and the parts of a step. */
const withParts: Record<string, (job: Job, looks: number) => Outcome> = { smlt, 'smlt as specified': specified };

export function jobsOf(noise: number, seeds: number, from: number): Job[] {
  return families.flatMap((family) =>
    (['cost', 'time'] as const).flatMap((minimize) => Array.from({ length: seeds }, (_, i) => jobOf({ family, minimize, seed: from + i, noise }))),
  );
}

/** @param python  an interpreter that has the packages of bench/peers/optimizers.py; left out: those are not run */
export function compare(options: { seeds: number; from: number; python: string | undefined; log: (line: string) => void }): Compared[] {
  const { seeds, from, python, log } = options;
  const jobs = jobsOf(0.05, seeds, from);
  const sets = [
    { name: 'made up', looks: [3, 5, 8], tables: jobs.map(tableOf), jobs },
    { name: 'Scout', looks: [5, 8], tables: tablesOf('Scout', scoutRows(), [from]), jobs: [] },
    { name: 'CherryPick', looks: [5, 8], tables: tablesOf('CherryPick', cherryPickRows(), [from]), jobs: [] },
  ];
  return sets.flatMap(({ name, looks, tables, jobs: own }) => {
    const rows: Compared[] = [];
    const add = (method: string, count: number, results: readonly { regret: number; use: number }[]) => {
      rows.push({ set: name, method, looks: count, ...summarise(results) });
    };
    for (const count of looks) {
      for (const [method, play] of Object.entries(withParts))
        if (own.length > 0)
          add(
            method,
            count,
            own.map((job) => play(job, count)),
          );
      for (const [method, choose] of Object.entries(methods))
        add(
          method,
          count,
          tables.map((table) => judge(table, choose(table, count))),
        );
    }
    // PyPI's optimisers take seconds a problem: real tables are left to the others.
    if (python !== undefined && own.length > 0)
      for (const { method, looks: count, chosen } of fromPython(python, tables, looks))
        add(
          method,
          count,
          tables.map((table, i) => judge(table, chosen[i]!)),
        );
    log(`${name}: ${tables.length} problems done`);
    return rows;
  });
}

function fromPython(python: string, tables: readonly Table[], looks: readonly number[]): { method: string; looks: number; chosen: number[] }[] {
  const script = join(process.env['SMLT_BENCH_FOLDER'] ?? 'bench/scheduler', '..', 'peers', 'optimizers.py');
  const input = JSON.stringify({ looks, tables: tables.map(forPython) });
  const { stdout, status, error } = spawnSync(python, [script], { input, maxBuffer: 2 ** 30, stdio: ['pipe', 'pipe', 'inherit'] });
  if (error || status !== 0) throw new Error(`${python} ${script} failed${error ? `: ${error.message}` : ''}`);
  const answer = JSON.parse(stdout.toString()) as { methods: Record<string, Record<string, number[]>> };
  return Object.entries(answer.methods).flatMap(([method, byLooks]) =>
    looks.map((count) => ({ method, looks: count, chosen: byLooks[String(count)]! })),
  );
}
