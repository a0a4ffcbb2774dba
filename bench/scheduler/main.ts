// The scheduler's proof, and other methods on the same problems.
// usage: npm run bench:scheduler [-- --seeds 40] [--from 700000] [--quick] [--compared 5] [--closed 1] [--guard 1000] [--python PATH] [--families] [--json]
import { parseArgs } from 'node:util';
import { compare, jobsOf } from './compare';
import { closedRows, guardRows, type Row } from './closed-rows';
import { decisionTimes, suggestionTimes } from './decision-time';
import { smlt, type Outcome } from './probing';
import { specified } from './specified';
import { quantile, summarise } from './statistics';
import { families } from './surface';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '40' },
    from: { type: 'string', default: '700000' },
    quick: { type: 'boolean', default: false },
    families: { type: 'boolean', default: false },
    compared: { type: 'string', default: '5' },
    closed: { type: 'string', default: '0' },
    guard: { type: 'string', default: '0' },
    python: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const seeds = values.quick ? 4 : Number(values.seeds);
const from = Number(values.from);
const log = (line: string) => console.error(line);

const percent = (value: number) => `${value.toFixed(1)} %`;
const rows: Row[] = [];
const byFamily: Record<string, unknown>[] = [];

function probing(noise: number): Outcome[] {
  const jobs = jobsOf(noise, seeds, from);
  const outcomes = jobs.map((job) => smlt(job, 3));
  for (const family of families) byFamily.push({ noise, family, ...summarise(outcomes.filter((_, i) => jobs[i]!.family === family)) });
  return outcomes;
}

const calm = probing(0.05);
const noisy = probing(0.15);
const [at5, at15] = [summarise(calm), summarise(noisy)];
rows.push({
  row: '1',
  measure: `regret after the micro-probe and 3 looks, 5 % noise (${calm.length} problems): median, mean, p95`,
  measured: [at5.medianPercent, at5.meanPercent, at5.p95Percent].map(percent).join(', '),
  goal: '<= 1, 8, 30 %',
  met: at5.medianPercent <= 1 && at5.meanPercent <= 8 && at5.p95Percent <= 30,
});
rows.push({
  row: '2',
  measure: 'the same at 15 % noise: median, limits broken',
  measured: [at15.medianPercent, at15.violationsPercent].map(percent).join(', '),
  goal: '<= 4, 8 %',
  met: at15.medianPercent <= 4 && at15.violationsPercent <= 8,
});
for (const [noise, ours] of [
  [0.05, at5],
  [0.15, at15],
] as const) {
  const theirs = summarise(jobsOf(noise, seeds, from).map((job) => specified(job, 3)));
  const words = [theirs.medianPercent, theirs.meanPercent, theirs.p95Percent, theirs.violationsPercent].map(percent).join(', ');
  rows.push({
    row: noise === 0.05 ? '1b' : '2b',
    measure: `the method as specified on the same problems, ${percent(100 * noise)} noise: median, mean, p95, limits broken`,
    measured: words,
    goal: 'mean and p95 above smlt’s',
    met: theirs.meanPercent >= ours.meanPercent && theirs.p95Percent >= ours.p95Percent,
  });
}
rows.push({
  row: '3',
  measure: 'limits broken by more than 5 %, 5 % noise',
  measured: percent(at5.clearViolationsPercent),
  goal: '<= 1.5 %',
  met: at5.clearViolationsPercent <= 1.5,
});
const covered = (100 * calm.filter((outcome) => outcome.covered).length) / calm.length;
rows.push({
  row: '3b',
  measure: 'covered by the p95 of time and cost',
  measured: percent(covered),
  goal: '92 to 99 %',
  met: covered >= 92 && covered <= 99.5,
});

const compared = compare({ seeds: Number(values.compared), from, python: values.python, log });
for (const set of ['Scout', 'CherryPick']) {
  const find = (method: string) => compared.find((each) => each.set === set && each.method === method && each.looks === 8)!;
  const [ours, theirs] = [find('smlt, any table'), find('CherryPick')];
  rows.push({
    row: '8',
    measure: `${set}, 8 looks, no priors: median, limits broken (CherryPick's method in the same run: ${percent(theirs.medianPercent)}, ${percent(theirs.violationsPercent)})`,
    measured: [ours.medianPercent, ours.violationsPercent].map(percent).join(', '),
    goal: '<= 9, 18 %, both below CherryPick',
    met:
      ours.medianPercent <= 9 &&
      ours.violationsPercent <= 18 &&
      ours.medianPercent <= theirs.medianPercent &&
      ours.violationsPercent <= theirs.violationsPercent,
  });
}
const decisionMs = [...calm, ...noisy].flatMap((outcome) => outcome.decisionMs);
rows.push({
  row: '10',
  measure: 'CPU time of a decision, 144 candidates: median, p99',
  measured: [0.5, 0.99].map((share) => `${quantile(decisionMs, share).toFixed(1)} ms`).join(', '),
  goal: 'p99 <= 50 ms',
  met: quantile(decisionMs, 0.99) <= 50,
});

const atGoal = decisionTimes(Math.min(seeds, 40), from);
const suggestions = suggestionTimes(240);
for (const [what, cpuMs] of [
  [`${atGoal.candidates} or more candidates and 20 observations`, atGoal.cpuMs],
  ['createOptimizer, 600 options and 20 observations', suggestions],
] as const)
  rows.push({
    row: '10',
    measure: `CPU time of a decision, ${what}: median, p99`,
    measured: [0.5, 0.99].map((share) => `${quantile(cpuMs, share).toFixed(1)} ms`).join(', '),
    goal: 'p99 <= 50 ms',
    met: quantile(cpuMs, 0.99) <= 50,
  });

rows.push(...closedRows(Number(values.closed), from, log), ...guardRows(Number(values.guard), from, log));

if (values.json) console.log(JSON.stringify({ seeds, from, rows, byFamily, compared }));
else {
  const rounded = (row: object) =>
    Object.fromEntries(
      Object.entries(row).map(([name, value]) => [name.replace('Percent', ' %'), typeof value === 'number' ? Number(value.toFixed(2)) : value]),
    );
  for (const { row, measure, measured, goal, met } of rows)
    console.log(`${met ? 'met   ' : 'NOT MET'} ${row.padStart(3)}  ${measure}: ${measured} (goal ${goal})`);
  if (values.families) console.table(byFamily.map(rounded));
  console.table(compared.map(rounded));
}
