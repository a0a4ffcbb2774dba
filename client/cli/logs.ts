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

/** `smlt logs [RUN]`: what the processes and the functions printed; of a run, the files that were written while it ran. */
export function logsCommand(): Command {
  return new Command('logs')
    .description('print what processes and functions said')
    .argument('[run]', 'only what was written since this run started')
    .option('--lines <n>', 'last lines of each file', whole(1, 'a count, 1 or more'), 40)
    .action(async (runId: string | undefined, { lines }: { lines: number }) => {
      const home = homeOf();
      let sinceMs = 0;
      if (runId !== undefined) {
        const run = await readRun(await openHomeStore(), checkRunId(runId));
        if (!run) throw new SmltError('RunMissing', `no run ${runId} in the store.`);
        sinceMs = run.startedAtMs;
      }
      const paint = painter(process.stdout);
      const files = [...logFiles(home.logs), ...logFiles(join(home.functions, 'logs'))].filter((path) => modifiedMs(path) >= sinceMs);
      for (const path of files) {
        const text = lastLines(path, lines);
        if (text !== '') print(`${paint('bold', relative(home.root, path))}\n${text}\n`);
      }
      if (files.length === 0) note(`no logs in ${home.root}`);
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

const lastLines = (path: string, most: number): string => readFileSync(path, 'utf8').trimEnd().split('\n').slice(-most).join('\n');
