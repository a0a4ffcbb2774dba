import { Command } from 'commander';
import { spentNanoUsd } from '../../contracts/money';
import { listRuns } from '../store-records';
import { print, printJson } from './output';
import { openHomeStore } from './open-store';
import { runDocument } from './run-report';
import { clock, count, dollars, lossText, moment, percent, table } from './words';

/** `smlt list`: every run that the store knows, newest first. Needs no Temporal server. */
export function listCommand(): Command {
  return new Command('list')
    .description('list runs, newest first')
    .option('--json', 'print one JSON document')
    .action(async ({ json }: { json?: true }) => {
      const runs = await listRuns(await openHomeStore());
      if (json) return printJson(runs.map((run) => runDocument(run, undefined)));
      if (runs.length === 0) return print('no runs yet; start one with `smlt run JOB`');
      const rows = runs.map((run) => [
        run.runId,
        run.status,
        `${count(run.step)}/${count(run.totalSteps)}`,
        lossText(run.loss),
        run.metrics?.accuracy === undefined ? '-' : percent(run.metrics.accuracy),
        dollars(spentNanoUsd(run.ledger)),
        clock(run.updatedAtMs - run.startedAtMs),
        moment(run.startedAtMs),
      ]);
      print(table([['run', 'status', 'steps', 'loss', 'accuracy', 'spent', 'time', 'started'], ...rows]));
    });
}
