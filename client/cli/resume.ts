import { Command } from 'commander';
import { readJobFile } from '../job-file';
import { withGoal, withGoalOptions, type GoalOptions } from './goal-options';
import { note, print, printJson } from './output';
import { endsWithCommand } from './run';
import { watchRun } from './watch-run';

interface ResumeOptions extends GoalOptions {
  readonly json?: true;
  readonly detach?: true;
  readonly ephemeral?: true;
}

/** `smlt resume RUN [JOB]`: goes on from what the run has; finished stages are not run again. */
export function resumeCommand(): Command {
  return withGoalOptions(
    new Command('resume')
      .description('go on with a failed, stopped or cancelled run')
      .argument('<run>', 'run id')
      .argument('[job]', 'the corrected job file (default: the job as it was)'),
  )
    .option('--json', 'print one JSON document on stdout at the end')
    .option('--detach', 'resume it and return at once')
    .option('--ephemeral', 'end with this command what had to be started for it (default when CI is set)')
    .action(async (runId: string, path: string | undefined, options: ResumeOptions) => {
      const given = path === undefined ? undefined : await readJobFile(path);
      const ephemeral = endsWithCommand(options.ephemeral) && !options.detach;
      const { connect } = await import('../connect.js');
      const smlt = await connect({ ephemeral, log: note });
      try {
        const job = withGoal(given ?? (await smlt.newestJob(runId)), options);
        const handle = await smlt.resume(runId, { job });
        note(`run ${runId} goes on${handle.uiUrl ? `   ${handle.uiUrl}` : ''}`);
        if (options.detach) return options.json ? printJson({ runId, status: 'running', uiUrl: handle.uiUrl ?? null }) : print(runId);
        process.exitCode = await watchRun(handle, { json: options.json ?? false, ephemeral, job, embedded: smlt.dev !== undefined });
      } finally {
        await smlt.close();
      }
    });
}
