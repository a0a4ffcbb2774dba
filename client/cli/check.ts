import { Command } from 'commander';
import { parseJob } from '../../contracts/job';
import { checkJob } from '../check-job';
import { readJobFile } from '../job-file';
import { withGoal, withGoalOptions, type GoalOptions } from './goal-options';
import { note, print, printJson } from './output';
import { count } from './words';

/** `smlt check JOB`: all that can be known before a run. Starts nothing, spends nothing. */
export function checkCommand(): Command {
  return withGoalOptions(
    new Command('check').description('check a job, its data and its model; starts nothing').argument('<job>', 'job file, JSON or YAML'),
  )
    .option('--json', 'print one JSON document')
    .action(async (path: string, options: GoalOptions & { json?: true }) => {
      const job = parseJob(withGoal(await readJobFile(path), options));
      const { dataSets, model, totalSteps } = await checkJob(job, Date.now(), note);
      if (options.json) return printJson({ valid: true, name: job.name, steps: totalSteps, model, samples: Object.fromEntries(Object.entries(dataSets).map(([split, { samples }]) => [split, samples])) }); // prettier-ignore
      print(`✓ ${path} is a valid job`);
      for (const [split, { samples, featureShape }] of Object.entries(dataSets)) print(`  ${split.padEnd(10)} ${count(samples)} samples of [${featureShape.join(', ')}]`); // prettier-ignore
      print(`  ${'model'.padEnd(10)} ${count(model.paramCount)} parameters`);
      print(`  ${'training'.padEnd(10)} ${count(totalSteps)} steps`);
    });
}
