import { writeFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { parseJob } from '../../contracts/job';
import type { Prediction } from '../../contracts/scheduling';
import { readJobFile } from '../job-file';
import { frontierSvg } from '../plan/frontier-svg';
import { planJob, type JobPlan, type PlanPlatform } from '../plan/plan-job';
import { withGoal, withGoalOptions, type GoalOptions } from './goal-options';
import { note, print, printJson } from './output';
import { allocationText, clock, count, dollars, table } from './words';

const EXIT_UNMET = 3;
/** Below it a plan warns; it refuses nothing, since nothing has been measured yet. */
const LIKELY = 0.5;

const chanceOf = ({ choice }: JobPlan): number => (choice.kind === 'run' || choice.kind === 'probe' ? choice.prediction.feasibility : 0);

/** `smlt plan JOB`: what the job would take, before anything is spent. */
export function planCommand(): Command {
  return withGoalOptions(
    new Command('plan')
      .description('predict time and cost of a job before anything is spent; starts nothing')
      .argument('<job>', 'job file, JSON or YAML'),
  )
    .addOption(new Option('--on <platform>', 'where functions would run').choices(['local', 'aws']).default('local'))
    .option('--svg <file>', 'draw the frontier of time and cost')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  $ smlt plan job.json --deadline 20m --on aws --svg plan.svg')
    .action(async (path: string, options: GoalOptions & { on: PlanPlatform; svg?: string; json?: true }) => {
      const job = parseJob(withGoal(await readJobFile(path), options));
      const plan = await planJob(job, options.on, note);
      if (options.svg !== undefined) writeFileSync(options.svg, frontierSvg(plan));
      if (options.json) printJson(plan);
      else print(planText(plan, options.svg));
      if (chanceOf(plan) < LIKELY) process.exitCode = EXIT_UNMET;
    });
}

function planText(plan: JobPlan, svg: string | undefined): string {
  const { name, steps, paramCount, frontier, choice, assumptions } = plan;
  const chosen = choice.kind === 'run' || choice.kind === 'probe' ? choice.allocation : undefined;
  const rows = frontier.map(({ allocation, prediction }) => [
    allocation.workers === chosen?.workers && allocation.memoryMib === chosen.memoryMib ? '→' : ' ',
    allocationText(allocation),
    ...figures(prediction),
  ]);
  return [
    `${name}: ${count(steps)} steps of ${count(paramCount)} parameters`,
    '',
    table([['', 'workers', 'time p50', 'p95', 'cost p50', 'p95', 'goal met'], ...rows]),
    '',
    `${chanceOf(plan) < LIKELY ? 'The goal will probably be missed' : 'Choice'}: ${choice.reason}`,
    ...nearestText(choice),
    ...assumptions.map((text) => `  - ${text}`),
    ...(svg === undefined ? [] : [`Drawn in ${svg}`]),
  ].join('\n');
}

const figures = ({ remainingMs, remainingNanoUsd, feasibility }: Prediction): string[] => [
  clock(remainingMs.p50),
  clock(remainingMs.p95),
  dollars(remainingNanoUsd.p50),
  dollars(remainingNanoUsd.p95),
  `${Math.round(feasibility * 100)} %`,
];

function nearestText(choice: JobPlan['choice']): string[] {
  if (choice.kind !== 'infeasibleGoal') return [];
  const { deadlineAtMs, budgetNanoUsd } = choice.nearest;
  return [
    ...(deadlineAtMs === undefined ? [] : [`  A deadline that would do: ${clock(deadlineAtMs - Date.now())} from now`]),
    ...(budgetNanoUsd === undefined ? [] : [`  A budget that would do: ${dollars(budgetNanoUsd)}`]),
  ];
}
