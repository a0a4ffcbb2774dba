import { Command, CommanderError } from 'commander';
import { SmltError } from '../../contracts/errors';
import { smltVersion } from '../home';
import { checkCommand } from './check';
import { dataCommand } from './data';
import { devCommand } from './dev';
import { doctorCommand } from './doctor';
import { EXIT, exitCodeOfError } from './exit-codes';
import { initCommand } from './init';
import { listCommand } from './list';
import { logsCommand } from './logs';
import { modelCommand } from './model';
import { note, painter, printJson } from './output';
import { explainCommand } from './explain';
import { planCommand } from './plan';
import { predictCommand } from './predict';
import { pullCommand } from './pull';
import { resumeCommand } from './resume';
import { runCommand } from './run';
import { setGoalCommand } from './set-goal';
import { simulateCommand } from './simulate';
import { statusCommand } from './status';
import { stopCommand } from './stop';
import { workerCommand } from './worker';

/** In the order of a job's life, as `smlt --help` shows them. */
const commandGroups: Readonly<Record<string, readonly (() => Command)[]>> = {
  'A job, before it runs:': [initCommand, dataCommand, modelCommand, checkCommand, planCommand, simulateCommand],
  'A run:': [runCommand, statusCommand, listCommand, explainCommand, logsCommand, setGoalCommand, stopCommand, resumeCommand],
  'A deployed model:': [predictCommand, pullCommand],
  'This machine:': [doctorCommand, devCommand, workerCommand],
};

function program(): Command {
  const root = new Command('smlt')
    .description('machine-learning pipelines on serverless functions: profile, tune, train, evaluate, deploy')
    .version(smltVersion())
    .showSuggestionAfterError()
    .showHelpAfterError('(add --help for what this command takes)')
    .addHelpText(
      'after',
      '\nExamples:\n  $ smlt init my-job && smlt run my-job/job.json\n  $ smlt plan my-job/job.json --on aws --deadline 20m\n  $ smlt status RUN --follow',
    );
  for (const [group, commands] of Object.entries(commandGroups)) for (const command of commands) root.addCommand(command().helpGroup(group));
  root.addHelpCommand(new Command('help').argument('[command]').description('show the options of a command').helpGroup('This machine:'));
  const throwing = (command: Command): void => {
    command.exitOverride().copyInheritedSettings(root);
    command.commands.forEach(throwing);
  };
  throwing(root);
  return root;
}

/** The command line: every error becomes words on stderr and an exit code (docs/cli.md). */
export async function runCli(argv: readonly string[]): Promise<void> {
  // The AWS SDK's version is pinned here, so its plea for a newer Node is not for our users.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  // `smlt list | head`: nobody reads on, so there is nothing more to say.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? EXIT.done : EXIT.failed));
  const json = argv.includes('--json');
  try {
    await program().parseAsync(argv);
  } catch (error) {
    process.exitCode = report(error, json);
  }
  // Idle connections must not keep a finished command alive.
  process.exit(process.exitCode);
}

function report(error: unknown, json: boolean): number {
  if (error instanceof CommanderError) {
    const helped = error.exitCode === 0;
    if (!helped && json) printJson({ error: { code: 'InvalidSpec', message: error.message.replace(/^error: /, ''), help: 'See `smlt --help`.' } });
    return helped ? EXIT.done : EXIT.badInput;
  }
  const paint = painter(process.stderr);
  if (error instanceof SmltError) {
    const { code, message, help } = error;
    note(`${paint('red', code)}: ${message}\n${help}`);
    if (json) printJson({ error: { code, message, help } });
    if (process.env['SMLT_DEBUG']) note(String(error.stack));
    return exitCodeOfError(error);
  }
  const unexpected = error instanceof Error ? error : new Error(String(error));
  const help = 'Run `smlt doctor`; SMLT_DEBUG=1 shows where it came from.';
  note(`${paint('red', 'unexpected error')}: ${process.env['SMLT_DEBUG'] ? unexpected.stack : unexpected.message}\n${help}`);
  if (json) printJson({ error: { code: 'Unexpected', message: unexpected.message, help } });
  return EXIT.failed;
}
