import { InvalidArgumentError, Option, type Command } from 'commander';
import type { Minimize } from '../../contracts/goal';
import type { Job } from '../../contracts/job';
import type { GoalChange } from '../../contracts/pipeline';

export interface GoalOptions {
  readonly deadline?: string;
  readonly budget?: number;
  readonly minimize?: Minimize;
}

/** The options that set a goal, the same in every command that takes one. */
export function withGoalOptions(command: Command): Command {
  return command
    .option('--deadline <time>', 'a duration such as 20m, or an instant such as 2027-01-31T18:00:00Z')
    .addOption(new Option('--budget <usd>', 'most US dollars to spend, at list price').argParser(parseUsd))
    .addOption(
      new Option('--minimize <what>', 'what to make small within the limits: cost, time, or both where an hour is worth so much, as 5/h').argParser(
        parseMinimize,
      ),
    );
}

export function parseUsd(text: string): number {
  const value = Number(text.replace(/^\$/, ''));
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('expected US dollars, such as 0.50');
  return value;
}

/** `cost`, `time`, or dollars an hour: `5/h`. */
function parseMinimize(text: string): Minimize {
  if (text === 'cost' || text === 'time') return text;
  const usdPerHour = Number(/^\$?(.+)\/h$/.exec(text)?.[1]);
  if (!(usdPerHour > 0 && Number.isFinite(usdPerHour))) throw new InvalidArgumentError('expected cost, time, or what an hour is worth, such as 5/h');
  return { usdPerHour };
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

export function goalChange({ deadline, budget, minimize }: { deadline?: string | false; budget?: number | false; minimize?: Minimize }): GoalChange {
  return {
    ...(deadline !== undefined && { deadline: deadline === false ? null : deadline }),
    ...(budget !== undefined && { budgetUsd: budget === false ? null : budget }),
    ...(minimize !== undefined && { minimize }),
  };
}
