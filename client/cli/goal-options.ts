import { InvalidArgumentError, Option, type Command } from 'commander';
import type { Job } from '../../contracts/job';
import type { GoalChange } from '../../contracts/pipeline';

export interface GoalOptions {
  readonly deadline?: string;
  readonly budget?: number;
  readonly minimize?: 'cost' | 'time';
}

/** The options that set a goal, the same in every command that takes one. */
export function withGoalOptions(command: Command): Command {
  return command
    .option('--deadline <time>', 'a duration such as 20m, or an instant such as 2027-01-31T18:00:00Z')
    .addOption(new Option('--budget <usd>', 'most US dollars to spend, at list price').argParser(parseUsd))
    .addOption(new Option('--minimize <what>', 'what to make small within the limits').choices(['cost', 'time']));
}

export function parseUsd(text: string): number {
  const value = Number(text.replace(/^\$/, ''));
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('expected US dollars, such as 0.50');
  return value;
}

/** The command line wins over the job file; the schema checks what came together. */
export function withGoal(job: Job, { deadline, budget, minimize }: GoalOptions): Job {
  return {
    ...job,
    goal: {
      ...job.goal,
      ...(deadline !== undefined && { deadline }),
      ...(budget !== undefined && { budgetUsd: budget }),
      ...(minimize !== undefined && { minimize }),
    },
  };
}

export function goalChange({
  deadline,
  budget,
  minimize,
}: {
  deadline?: string | false;
  budget?: number | false;
  minimize?: 'cost' | 'time';
}): GoalChange {
  return {
    ...(deadline !== undefined && { deadline: deadline === false ? null : deadline }),
    ...(budget !== undefined && { budgetUsd: budget === false ? null : budget }),
    ...(minimize !== undefined && { minimize }),
  };
}
