import { writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { parseJob } from '../../contracts/job';
import type { exchanges } from '../../scheduler/simulator';
import { readJobFile } from '../job-file';
import { parseChange, parseFaults } from '../simulate/faults';
import { simulateJob, type JobSimulation } from '../simulate/simulate-job';
import { stretchesOf } from '../simulate/stretches';
import { timelineSvg } from '../simulate/timeline-svg';
import { EXIT } from './exit-codes';
import { withGoal, withGoalOptions, type GoalOptions } from './goal-options';
import { note, print, printJson } from './output';
import { allocationText, clock, count, dollars, plural, table } from './words';
import { whole } from './whole-number';

interface SimulateCommandOptions extends GoalOptions {
  readonly workers?: number;
  readonly memory?: number;
  readonly exchange: keyof typeof exchanges;
  readonly faults?: string;
  readonly slower?: string[];
  readonly slowerExchange?: string[];
  readonly sampleMs?: number;
  readonly seed: number;
  readonly svg?: string;
  readonly json?: true;
}
const collect = (one: string, all: string[] = []) => [...all, one];
function positive(text: string): number {
  if (!(Number(text) > 0) || !Number.isFinite(Number(text))) throw new InvalidArgumentError('expected a number above 0');
  return Number(text);
}

/** `smlt simulate JOB`: the job in simulated time on simulated functions, with what may go wrong. Spends nothing. */
export function simulateCommand(): Command {
  return withGoalOptions(
    new Command('simulate')
      .description('train a job on a simulated AWS Lambda, with faults; starts nothing')
      .argument('<job>', 'job file, JSON or YAML'),
  )
    .addOption(new Option('--workers <n>', 'exactly so many; left out: the scheduler chooses').argParser(whole(1, 'a whole number of at least 1')))
    .addOption(new Option('--memory <mib>', 'memory of each; left out: the scheduler chooses').argParser(whole(128, '128 to 10,240', 10_240)))
    .addOption(new Option('--exchange <kind>', 'where values are exchanged').choices(['redis', 's3']).default('redis'))
    .option('--faults <list>', 'such as crashesPerHour=2,stragglers=0.05, or none; left out: what is usual (docs/simulator.md)')
    .option('--slower <change>', 'computing takes so many times as long, such as 10m:1.5; may be given again', collect)
    .option('--slower-exchange <change>', 'the same of the exchange', collect)
    .addOption(new Option('--sample-ms <ms>', 'one sample, forward and backward, on one vCPU; left out: from counted operations').argParser(positive))
    .addOption(new Option('--seed <n>', 'the same seed gives the same bits').argParser(whole(0, 'a whole number of at least 0')).default(1))
    .option('--svg <file>', 'draw the timeline')
    .option('--json', 'print one JSON document instead of text')
    .addHelpText(
      'after',
      '\nExamples:\n  $ smlt simulate job.json --deadline 30m --faults crashesPerHour=2,stragglers=0.02\n  $ smlt simulate job.json --workers 16 --exchange s3 --slower 10m:1.5 --svg run.svg',
    )
    .action(async (path: string, options: SimulateCommandOptions) => {
      const faults = parseFaults(options.faults);
      const changes = [
        ...(options.slower ?? []).map((text) => parseChange(text, 'compute')),
        ...(options.slowerExchange ?? []).map((text) => parseChange(text, 'exchange')),
      ];
      const job = parseJob(withGoal(await readJobFile(path), options));
      const { workers, memory: memoryMib, exchange, sampleMs, seed } = options;
      const simulation = await simulateJob(job, { workers, memoryMib, exchange, faults, changes, sampleMs, seed }, note);
      if (options.svg !== undefined) writeFileSync(options.svg, timelineSvg(simulation));
      if (options.json) printJson(documentOf(simulation));
      else print(simulationText(simulation, options.svg));
      if (simulation.run.outcome !== 'completed') process.exitCode = simulation.run.outcome === 'failed' ? EXIT.failed : EXIT.missed;
    });
}

/** Without the thousands of single invocations. */
function documentOf({ run, ...simulation }: JobSimulation) {
  const { invocations, ...rest } = run;
  const costUsd = Object.fromEntries(Object.entries(run.costNanoUsd).map(([term, nanoUsd]) => [term, nanoUsd / 1e9]));
  return { ...simulation, run: { ...rest, costUsd, invocations: invocations.count } };
}

const BAR = 24;
function simulationText(simulation: JobSimulation, svg: string | undefined): string {
  const { name, totalSteps, paramCount, sampleMs, run, goal, exchange } = simulation;
  const { counts, costNanoUsd } = run;
  const stretches = stretchesOf(run.rounds);
  const most = Math.max(1, ...stretches.map(({ workers }) => workers));
  const rows = stretches.map((each) => [
    clock(each.startMs),
    `${each.isProbe ? '? ' : '  '}${'█'.repeat(Math.max(1, Math.round((BAR * each.workers) / most)))}`,
    allocationText({ ...each, steps: each.steps }),
    count(each.batchSize),
    count(each.steps),
    each.stepMs === 0 ? '-' : `${(each.stepMs / 1_000).toPrecision(3)} s`,
    dollars(each.nanoUsd),
    [each.crashes > 0 ? plural(each.crashes, 'crash').replace(/crashs$/, 'crashes') : '', each.restarts > 0 ? plural(each.restarts, 'restart') : '']
      .filter((word) => word !== '')
      .join(', '),
  ]);
  const terms = (['functions', 'requests', 'store', 'exchange'] as const).map((term) => `${term} ${dollars(costNanoUsd[term])}`);
  const lost = (100 * counts.lostMs) / Math.max(1, counts.computeMs);
  return [
    `${name}, simulated: ${count(totalSteps)} steps of ${count(paramCount)} parameters, ${Number(sampleMs.toPrecision(3))} ms a sample and vCPU, exchange ${exchange}`,
    '',
    table([['from', '  workers (?: probe)', '', 'batch', 'steps', 'a step', 'cost without exchange', ''], ...rows]),
    '',
    `${run.outcome === 'completed' ? 'Completed' : `Ended, ${run.outcome}`} after ${clock(run.timeMs)}: ${run.reason}`,
    `Cost ${dollars(costNanoUsd.total)}: ${terms.join(', ')}`,
    ...(goal.deadlineMs === null ? [] : [`Deadline ${clock(goal.deadlineMs)}: ${marginText(run.deadlineMarginMs!, clock)}`]),
    ...(goal.budgetUsd === null ? [] : [`Budget ${dollars(goal.budgetUsd * 1e9)}: ${marginText(run.budgetMarginNanoUsd!, dollars)}`]),
    `${plural(run.invocations.count, 'invocation')}, ${count(counts.crashes)} crashed, ${plural(counts.restarts, 'restart')} at the time limit; ${(100 * run.utilisation).toFixed(0)} % of the billed time computed, ${lost.toFixed(1)} % of it done again`,
    ...(svg === undefined ? [] : [`Drawn in ${svg}`]),
  ].join('\n');
}
const marginText = (margin: number, format: (value: number) => string) => (margin >= 0 ? `${format(margin)} left` : `passed by ${format(-margin)}`);
