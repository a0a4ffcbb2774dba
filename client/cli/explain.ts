import { Command } from 'commander';
import { SmltError } from '../../contracts/errors';
import { checkRunId } from '../../contracts/names';
import { readRun } from '../store-records';
import { openHomeStore } from './open-store';
import { note, print, printJson } from './output';
import { allocationText, clock, plural, trackText, wrap } from './words';

const WIDTH = 100;

/** `smlt explain RUN`: every decision of the scheduler that changed something, and why. */
export function explainCommand(): Command {
  return new Command('explain')
    .description('say why a run used the workers it used')
    .argument('<run>', 'run id')
    .option('--all', 'every round, not only those that changed the allocation or more of its reason than numbers')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  $ smlt explain digits-20261124-101500')
    .action(async (runId: string, { all = false, json = false }: { all?: boolean; json?: boolean }) => {
      const record = await readRun(await openHomeStore(), checkRunId(runId));
      if (!record) throw new SmltError('RunMissing', `no run ${runId} in the store.`);
      if (json) return printJson({ runId, decisions: record.journal });
      const shown = record.journal.filter((entry, i) => {
        const before = record.journal.slice(0, i).findLast(({ track }) => track === entry.track);
        return (
          all || !before || wordsOf(before.reason) !== wordsOf(entry.reason) || allocationText(before.allocation) !== allocationText(entry.allocation)
        );
      });
      for (const { atMs, track, round, first, last, allocation, reason } of shown) {
        print(
          `[${clock(atMs - record.startedAtMs)}] ${trackText(record, track)}, round ${round}, steps ${first} to ${last}: ${allocationText(allocation)}`,
        );
        for (const line of wrap(reason, WIDTH)) print(`    ${line}`);
      }
      const left = record.journal.length - shown.length;
      if (left > 0) note(`${plural(left, 'more round')} for the same reasons; --all shows them`);
      if (record.journal.length === 0) note(`run ${runId} has made no decision yet`);
    });
}

/** A reason without its figures, which are others in every round. */
const wordsOf = (reason: string): string => reason.replace(/[\d.,]+/g, '#');
