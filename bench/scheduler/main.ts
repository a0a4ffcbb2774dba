// The scheduler's proof. usage: npm run bench:scheduler [-- --seeds 40] [--from 1000] [--rows 1,2,3,10] [--quick] [--json]
import { parseArgs } from 'node:util';
import { jobOf, type Job } from './job';
import { smlt, type Outcome } from './probing';
import { quantile, summarise } from './statistics';
import { families } from './surface';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '40' },
    from: { type: 'string', default: '1000' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const seeds = values.quick ? 5 : Number(values.seeds);
const log = (line: string) => console.error(line);

function jobs(noise: number): Job[] {
  const list: Job[] = [];
  for (const family of families)
    for (const minimize of ['cost', 'time'] as const)
      for (let i = 0; i < seeds; i += 1) list.push(jobOf({ family, minimize, seed: Number(values.from) + i, noise }));
  return list;
}

const table: Record<string, unknown>[] = [];
const decisions: number[] = [];
for (const noise of [0.05, 0.15]) {
  const problems = jobs(noise);
  for (const looks of [3, 5]) {
    const results = problems.map((job) => ({ job, outcome: smlt(job, looks) }));
    const describe = (name: string, list: readonly Outcome[]) => ({
      noise,
      looks,
      ...summarise(list),
      family: name,
      covered: (100 * list.filter(({ covered }) => covered).length) / list.length,
      probeSpendMedian:
        100 *
        quantile(
          list.map(({ probeShare }) => probeShare),
          0.5,
        ),
      looksUsed: list.reduce((sum, { probes }) => sum + probes, 0) / list.length,
    });
    table.push(
      describe(
        'all',
        results.map(({ outcome }) => outcome),
      ),
    );
    for (const family of families)
      table.push(
        describe(
          family,
          results.filter(({ job }) => job.family === family).map(({ outcome }) => outcome),
        ),
      );
    decisions.push(...results.flatMap(({ outcome }) => outcome.decisionMs));
  }
  log(`noise ${noise} done`);
}
if (values.json) console.log(JSON.stringify(table));
else {
  console.table(
    table.map((row) =>
      Object.fromEntries(Object.entries(row).map(([k, v]) => [k.replace('Percent', ' %'), typeof v === 'number' ? Number(v.toFixed(2)) : v])),
    ),
  );
  console.log(`decision ms: median ${quantile(decisions, 0.5).toFixed(1)}, p99 ${quantile(decisions, 0.99).toFixed(1)}`);
}
