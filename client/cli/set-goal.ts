import { Command } from 'commander';
import type { Minimize } from '../../contracts/goal';
import { goalChange, withGoalOptions } from './goal-options';
import { print, printJson } from './output';

interface SetGoalOptions {
  readonly deadline?: string | false;
  readonly budget?: number | false;
  readonly minimize?: Minimize;
}

/** `smlt set-goal RUN`: changes what a running run aims for. */
export function setGoalCommand(): Command {
  return withGoalOptions(new Command('set-goal').description('change the goal of a running run').argument('<run>', 'run id'))
    .option('--no-deadline', 'lift the deadline')
    .option('--no-budget', 'lift the budget')
    .option('--json', 'print one JSON document')
    .action(async (runId: string, { json, ...given }: { json?: true }, command: Command) => {
      // A --no-x option gives x a default of true, which is no wish of the user's.
      const options = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== true)) as SetGoalOptions;
      const change = goalChange(options);
      if (Object.keys(change).length === 0)
        command.error('error: nothing to change: give --deadline, --budget, --minimize, --no-deadline or --no-budget');
      const { connect } = await import('../connect.js');
      const smlt = await connect({ start: false });
      try {
        await smlt.handle(runId).setGoal(change);
        if (json) printJson({ runId, changed: change });
        else print(`run ${runId} has a new goal`);
      } finally {
        await smlt.close();
      }
    });
}
