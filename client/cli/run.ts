import { Command } from 'commander';
import { parseJob } from '../../contracts/job';
import { checkRunId } from '../../contracts/names';
import { checkJob } from '../check-job';
import { readJobFile } from '../job-file';
import { withGoal, withGoalOptions, type GoalOptions } from './goal-options';
import { note, print, printJson } from './output';
import { watchRun } from './watch-run';

interface RunOptions extends GoalOptions {
  readonly runId?: string;
  readonly json?: true;
  readonly detach?: true;
  readonly ephemeral?: true;
}

export const endsWithCommand = (ephemeral: boolean | undefined): boolean => ephemeral ?? !['', '0', 'false', undefined].includes(process.env['CI']);

/** `smlt run JOB`: checks the job, starts what is needed, starts the run and shows it until its end. */
export function runCommand(): Command {
  return withGoalOptions(
    new Command('run').description('run a job: profile, tune, train, evaluate, deploy').argument('<job>', 'job file, JSON or YAML'),
  )
    .option('--run-id <id>', 'name of the run (default: the job’s name and the time)')
    .option('--json', 'print one JSON document on stdout at the end')
    .option('--detach', 'start it and return at once')
    .option('--ephemeral', 'end with this command what had to be started for it (default when CI is set)')
    .addHelpText(
      'after',
      '\nExamples:\n  $ smlt run job.json --budget 0.50 --deadline 20m\n  $ smlt run job.json --run-id nightly-7 --detach\n  $ smlt run job.json --json > result.json',
    )
    .action(async (path: string, options: RunOptions) => {
      if (options.runId !== undefined) checkRunId(options.runId);
      const job = parseJob(withGoal(await readJobFile(path), options));
      await checkJob(job, Date.now(), note); // before anything is started, let alone spent
      const ephemeral = endsWithCommand(options.ephemeral) && !options.detach;
      const { connect } = await import('../connect.js'); // Temporal's client takes a while to load: a bad job need not wait for it
      const smlt = await connect({ ephemeral, log: note });
      try {
        for (const text of smlt.notices) note(text);
        const { handle, isNew } = await smlt.startChecked(job, options.runId === undefined ? {} : { runId: options.runId });
        note(`run ${handle.runId}${handle.uiUrl ? `   ${handle.uiUrl}` : ''}`);
        if (!isNew) note('this job was started under this id before: here is that run. Leave --run-id out, or name another, for a new one.');
        if (options.detach) {
          if (options.json) printJson({ runId: handle.runId, status: 'running', uiUrl: handle.uiUrl ?? null });
          else print(handle.runId);
          return;
        }
        process.exitCode = await watchRun(handle, { json: options.json ?? false, ephemeral, job, embedded: smlt.dev !== undefined });
      } finally {
        await smlt.close();
      }
    });
}
