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

function program(): Command {
  const commands = [
    runCommand(),
    checkCommand(),
    initCommand(),
    statusCommand(),
    listCommand(),
    stopCommand(),
    resumeCommand(),
    setGoalCommand(),
    predictCommand(),
    pullCommand(),
    dataCommand(),
    modelCommand(),
    planCommand(),
    simulateCommand(),
    explainCommand(),
    devCommand(),
    workerCommand(),
    logsCommand(),
    doctorCommand(),
  ];
  const root = new Command('smlt')
    .description('machine-learning pipelines on serverless functions: profile, tune, train, evaluate, deploy')
    .version(smltVersion())
    .showSuggestionAfterError()
    .showHelpAfterError('(add --help for what this command takes)');
  for (const command of commands) root.addCommand(command);
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
    if (!helped && json) printJson({ error: { code: 'InvalidSpec', message: error.message, help: 'See `smlt --help`.' } });
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
  note(
    `${paint('red', 'unexpected error')}: ${process.env['SMLT_DEBUG'] ? unexpected.stack : unexpected.message}\nRun \`smlt doctor\`; SMLT_DEBUG=1 shows where it came from.`,
  );
  if (json) printJson({ error: { code: 'Unexpected', message: unexpected.message } });
  return EXIT.failed;
}
