import { Command } from 'commander';
import { homeOf } from '../home';
import { EXIT } from './exit-codes';
import { painter, print, printJson } from './output';

/** `smlt doctor`: what was found, what is missing, how to get it. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description('say what smlt needs, what is missing and how to get it')
    .option('--json', 'print one JSON document')
    .action(async ({ json }: { json?: true }) => {
      const { examine } = await import('../doctor.js');
      const findings = await examine(homeOf(), process.env);
      if (findings.some(({ state }) => state === 'broken')) process.exitCode = EXIT.failed;
      if (json) return printJson(findings);
      const paint = painter(process.stdout);
      const marks = { ok: paint('green', '✓'), missing: paint('yellow', '-'), broken: paint('red', '✗') };
      for (const { what, state, detail } of findings) print(`${marks[state]} ${what.padEnd(17)} ${detail.split('\n').join(`\n${' '.repeat(20)}`)}`);
    });
}
