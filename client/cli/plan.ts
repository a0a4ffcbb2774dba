import { writeFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { SmltError } from '../../contracts/errors';
import { parseJob, type Job } from '../../contracts/job';
import type { Prediction } from '../../contracts/scheduling';
import { formatExchange, formatMethod } from '../../scheduler';
import { checkJob } from '../check-job';
import { readJobFile } from '../job-file';
import { frontierSvg } from '../plan/frontier-svg';
import { isChosen, planJob, type JobPlan, type PlanPlatform } from '../plan/plan-job';
import { probeJob, type Probed } from '../plan/probe-job';
import { parseUsd, withGoal, withGoalOptions, type GoalOptions } from './goal-options';
import { note, print, printJson } from './output';
import { endsWithCommand } from './run';
import { allocationText, clock, count, dollars, plural, table } from './words';

const EXIT_UNMET = 3;
const PROBE_USD = 0.05;
/** Below it a plan warns; it refuses nothing, since nothing has been measured yet. */
const LIKELY = 0.5;

interface PlanOptions extends GoalOptions {
  readonly on: PlanPlatform;
  readonly svg?: string;
  readonly probe?: number;
  readonly ephemeral?: true;
  readonly json?: true;
}

const chanceOf = ({ choice }: JobPlan): number => (choice.kind === 'run' || choice.kind === 'probe' ? choice.prediction.feasibility : 0);

/** `smlt plan JOB`: what the job would take, before anything is spent. */
export function planCommand(): Command {
  return withGoalOptions(
    new Command('plan').description('predict time and cost; starts nothing without --probe').argument('<job>', 'job file, JSON or YAML'),
  )
    .addOption(new Option('--on <platform>', 'where functions would run').choices(['local', 'aws']).default('local'))
    .option('--svg <file>', 'draw the frontier of time and cost')
    .addOption(
      new Option('--probe [usd]', 'run the first steps for a few cents, to predict the rest better').preset(String(PROBE_USD)).argParser(parseUsd),
    )
    .option('--ephemeral', 'with --probe: end with this command what had to be started for it (default when CI is set)')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExamples:\n  $ smlt plan job.json --deadline 20m --on aws --svg plan.svg\n  $ smlt plan job.json --budget 0.50 --probe 0.02',
    )
    .action(async (path: string, options: PlanOptions) => {
      const job = parseJob(withGoal(await readJobFile(path), options));
      const probed = options.probe === undefined ? undefined : await probe(job, options.probe, options);
      const plan = await planJob(job, options.on, note, probed);
      if (options.svg !== undefined) writeFileSync(options.svg, frontierSvg(plan));
      if (options.json) printJson(plan);
      else print(planText(plan, options.svg));
      if (chanceOf(plan) < LIKELY) process.exitCode = EXIT_UNMET;
    });
}

/** Runs the job's first steps where runs go, so that what they take is known. */
async function probe(job: Job, budgetUsd: number, { on, ephemeral }: PlanOptions): Promise<Probed> {
  if (budgetUsd <= 0) throw new SmltError('InvalidSpec', `--probe: got ${budgetUsd}, expected US dollars above 0, such as ${PROBE_USD}`);
  await checkJob(job, Date.now(), note);
  const { connect } = await import('../connect.js');
  const smlt = await connect({ ephemeral: endsWithCommand(ephemeral), log: note });
  try {
    if (on === 'aws' && smlt.dev !== undefined)
      throw new SmltError('InvalidSpec', 'runs here go to this machine, which tells nothing of AWS: plan without --probe, or with TEMPORAL_ADDRESS at a server whose smlt worker uses AWS'); // prettier-ignore
    note(
      `probing: short rounds of the job itself, for at most ${dollars(budgetUsd * 1e9)}${smlt.dev ? ' of list price; this machine charges nothing' : ''}`,
    );
    return await probeJob(smlt, job, budgetUsd);
  } finally {
    await smlt.close();
  }
}

function planText(plan: JobPlan, svg: string | undefined): string {
  const { name, steps, paramCount, frontier, choice, probe: probed, assumptions } = plan;
  const chosen = { allocation: choice.kind === 'run' || choice.kind === 'probe' ? choice.allocation : undefined, method: plan.method?.method };
  const methodColumn = (text: string) => (plan.method ? [text] : []);
  const rows = frontier.map((point) => [
    isChosen(point, chosen) ? '→' : ' ',
    allocationText(point.allocation),
    ...methodColumn(point.method ? formatMethod(point.method) : '-'),
    ...figures(point.prediction),
  ]);
  return [
    `${name}: ${count(steps)} steps of ${count(paramCount)} parameters`,
    '',
    table([['', 'workers', ...methodColumn('method'), 'time p50', 'p95', 'cost p50', 'p95', 'goal met'], ...rows]),
    '',
    ...exchangesText(plan),
    `${chanceOf(plan) < LIKELY ? 'The goal will probably be missed' : 'Choice'}: ${choice.reason}`,
    ...(plan.method ? [plan.method.reason] : []),
    ...nearestText(choice),
    ...(probed ? [`Probed: ${plural(probed.rounds, 'round')} for ${dollars(probed.costUsd * 1e9)}`] : []),
    ...assumptions.map((text) => `  - ${text}`),
    ...(svg === undefined ? [] : [`Drawn in ${svg}`]),
  ].join('\n');
}

/** What would be chosen over each exchange, where there is a choice. */
function exchangesText({ exchanges, choice }: JobPlan): string[] {
  if (exchanges.length < 2) return [];
  const chosen = choice.kind === 'run' || choice.kind === 'probe' ? choice.allocation : undefined;
  const rows = exchanges.map(({ kind, shards, usdPerHour, choice: best }) => {
    const isChosen = chosen?.exchange === kind && (chosen.shards ?? 1) === shards;
    const rent = usdPerHour === 0 ? '-' : `${dollars(usdPerHour * 1e9)}/h`;
    const at = best.kind === 'run' ? [allocationText({ ...best.allocation, exchange: undefined }), ...figures(best.prediction)] : [best.kind];
    return [isChosen ? '→' : ' ', formatExchange(kind, shards), rent, ...at];
  });
  return [table([['', 'exchange', 'rent', 'best with', 'time p50', 'p95', 'cost p50', 'p95', 'goal met'], ...rows]), ''];
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
