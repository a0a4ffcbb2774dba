import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { Command } from 'commander';
import { SmltError } from '../../contracts/errors';
import { checkRunId } from '../../contracts/names';
import { homeOf } from '../home';
import { readRun } from '../store-records';
import { openHomeStore } from './open-store';
import { note, painter, print } from './output';
import { whole } from './whole-number';

/** `smlt logs [RUN]`: what the processes and the functions printed; of a run, what its own invocations and workflows said. */
export function logsCommand(): Command {
  return new Command('logs')
    .description('print what processes and functions said')
    .argument('[run]', "only what this run's invocations and workflows said")
    .option('--lines <n>', 'last lines of each file', whole(1, 'a count, 1 or more'), 40)
    .action(async (runId: string | undefined, { lines }: { lines: number }) => {
      const home = homeOf();
      if (runId !== undefined && !(await readRun(await openHomeStore(), checkRunId(runId))))
        throw new SmltError('RunMissing', `no run ${runId} in the store.`);
      const paint = painter(process.stdout);
      const processes = logFiles(home.logs).map((path) => ({ path, text: readFileSync(path, 'utf8') }));
      const functions = logFiles(join(home.functions, 'logs')).map((path) => ({ path, text: readFileSync(path, 'utf8') }));
      const said =
        runId === undefined
          ? [...processes, ...functions]
          : [
              ...processes.map(({ path, text }) => ({ path, text: linesOf(text, runId) })),
              ...functions.map(({ path, text }) => ({ path, text: invocationsOf(text, runId) })),
            ];
      const files = said.map(({ path, text }) => ({ path, text: lastLines(text, lines) })).filter(({ text }) => text !== '');
      for (const { path, text } of files) print(`${paint('bold', relative(home.root, path))}\n${text}\n`);
      if (files.length === 0) note(runId === undefined ? `no logs in ${home.root}` : `no log in ${home.root} speaks of run ${runId}`);
    });
}

function logFiles(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((name) => join(folder, name))
      .filter((path) => statSync(path).isFile())
      .sort((a, b) => modifiedMs(a) - modifiedMs(b));
  } catch {
    return [];
  }
}

function modifiedMs(path: string): number {
  try {
    return statSync(path).mtimeMs;
  } catch {
    return -1; // swept away meanwhile
  }
}

/** Temporal's own log lines name the workflow; a stage's id begins with its run's. */
function linesOf(text: string, runId: string): string {
  const named = new RegExp(`(?<![A-Za-z0-9._-])${escaped(runId)}(?![A-Za-z0-9._-])`);
  return text
    .split('\n')
    .filter((line) => named.test(line))
    .join('\n');
}

/** The invocations, from START to REPORT, that say they belong to the run. */
function invocationsOf(text: string, runId: string): string {
  const own = new RegExp(`\\brun=${escaped(runId)}$`, 'm');
  return text
    .split(/^(?=START RequestId: )/m)
    .filter((invocation) => own.test(invocation))
    .join('');
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const lastLines = (text: string, most: number): string => text.trimEnd().split('\n').slice(-most).join('\n');
