// Rows of whole jobs, of 30 minutes to 4 hours: without an event, and with an unannounced one half way.
import { closedLoop, type ClosedOutcome } from './closed-loop';
import { jobOf, type Shock } from './job';
import { mean, quantile } from './statistics';
import { families } from './surface';
import { weatherOf } from './weather';

/** One measure of docs/benchmarks.md, its goal beside it. */
export interface Row {
  readonly row: string;
  readonly measure: string;
  readonly measured: string;
  readonly goal: string;
  readonly met: boolean;
}
const LENGTH_MS = [30 * 60_000, 4 * 3_600_000] as const;
/** Where only money is looked at, jobs are shorter, so that a thousand take minutes. */
const GUARDED_LENGTH_MS = [5 * 60_000, 60 * 60_000] as const;
const share = (outcomes: readonly ClosedOutcome[], holds: (outcome: ClosedOutcome) => boolean) =>
  (100 * outcomes.filter(holds).length) / outcomes.length;

/** @param seeds  jobs a family and goal; 0 leaves these rows out: each job takes about half a second */
export function closedRows(seeds: number, from: number, log: (line: string) => void): Row[] {
  if (seeds === 0) return [];
  const play = (shock?: Shock, batchFactor?: number) => {
    const options = { noise: 0.05, lengthMs: LENGTH_MS, ...(batchFactor && { batchFactor }) };
    const outcomes = kinds.flatMap((kind) =>
      Array.from({ length: seeds }, (_, i) => jobOf({ ...kind, ...options, seed: from + i })).flatMap((job) => closedLoop(job, { shock }) ?? []),
    );
    log(`whole jobs: ${outcomes.length} done`);
    return outcomes;
  };
  const calm = play();
  const shocked = [...play({ compute: 1.5, sync: 1 }), ...play({ compute: 1, sync: 2 })];
  const ratios = calm.map(({ ratio }) => ratio).filter(Number.isFinite);
  const probes = calm.map(({ probeShare }) => 100 * probeShare);
  const [met, shockedMet, shockedNear] = [
    share(calm, ({ use }) => use <= 1),
    share(shocked, ({ use }) => use <= 1),
    share(shocked, ({ wholeUse }) => wholeUse <= 1.05),
  ];
  const alarms = mean(calm.map((outcome) => outcome.alarms));
  return [
    {
      row: '4',
      measure: 'probe spend: median, p95',
      measured: `${quantile(probes, 0.5).toFixed(1)}, ${quantile(probes, 0.95).toFixed(1)} %`,
      goal: '<= 1, 7 %',
      met: quantile(probes, 0.5) <= 1 && quantile(probes, 0.95) <= 7,
    },
    {
      row: '5',
      measure: `closed loop over a planner who knows everything (${calm.length} jobs): median, p95, limits met`,
      measured: `${quantile(ratios, 0.5).toFixed(2)}, ${quantile(ratios, 0.95).toFixed(2)}, ${met.toFixed(0)} %`,
      goal: '<= 1.03, 1.4, >= 98 %',
      met: quantile(ratios, 0.5) <= 1.03 && quantile(ratios, 0.95) <= 1.4 && met >= 98,
    },
    {
      row: '6',
      measure: `compute 1.5x or store 2x slower half way, unannounced (${shocked.length} jobs): met, within 5 %`,
      measured: `${shockedMet.toFixed(0)}, ${shockedNear.toFixed(0)} %`,
      goal: '>= 88, 95 %',
      met: shockedMet >= 88 && shockedNear >= 95,
    },
    {
      row: '9a',
      measure: 'changes of allocation a job without an event',
      measured: mean(calm.map(({ switches }) => switches)).toFixed(1),
      goal: '<= 4',
      met: mean(calm.map(({ switches }) => switches)) <= 4,
    },
    { row: '9', measure: 'false alarms a job', measured: alarms.toFixed(2), goal: '<= 0.2', met: alarms <= 0.2 },
    ...[2, 4].map((factor) => announcedRow(factor, play(undefined, factor))),
  ];
}
const kinds = families.flatMap((family) => (['cost', 'time'] as const).map((minimize) => ({ family, minimize })));

/** A batch schedule is known from the start: no look is spent on the new size. */
function announcedRow(factor: number, outcomes: readonly ClosedOutcome[]): Row {
  const regrets = outcomes.flatMap(({ ratio }) => (Number.isFinite(ratio) ? [100 * (ratio - 1)] : []));
  const regret = quantile(regrets, 0.5);
  const broken = 100 - share(outcomes, ({ use }) => use <= 1);
  return {
    row: '7',
    measure: `announced batch x${factor} half way, no look at it (${outcomes.length} jobs): median and mean regret, limits broken`,
    measured: `${regret.toFixed(1)}, ${mean(regrets).toFixed(1)}, ${broken.toFixed(1)} %`,
    goal: '<= 5 % median, <= 5 % broken',
    met: regret <= 5 && broken <= 5,
  };
}

/** @param jobs  so many jobs in all weathers; 0 leaves the row out */
export function guardRows(jobs: number, from: number, log: (line: string) => void): Row[] {
  if (jobs === 0) return [];
  const outcomes: ClosedOutcome[] = [];
  for (let seed = from; outcomes.length < jobs; seed += 1) {
    for (const kind of kinds) {
      const outcome =
        outcomes.length < jobs &&
        closedLoop(jobOf({ ...kind, seed, noise: 0.15, lengthMs: GUARDED_LENGTH_MS }), { weather: weatherOf(outcomes.length) });
      if (outcome) outcomes.push(outcome);
    }
    if (outcomes.length % 100 < kinds.length) log(`jobs in all weathers: ${outcomes.length} done`);
  }
  const count = (holds: (outcome: ClosedOutcome) => boolean) => outcomes.filter(holds).length;
  const overspent = count(({ consentUse }) => consentUse > 1);
  const overBudget = count(({ budgetUse }) => budgetUse > 1);
  const ended = count(({ use }) => use === Infinity);
  const most = Math.max(...outcomes.map(({ consentUse }) => 2 * consentUse));
  return [
    {
      row: '11',
      measure:
        'jobs in all weathers that spent more than twice the accepted p95 without consent (the most; stopped before their end; above their budget)',
      measured: `${overspent} of ${outcomes.length} (${most.toFixed(2)} times; ${ended}; ${overBudget})`,
      goal: '0 of 1,000',
      met: overspent === 0,
    },
  ];
}
