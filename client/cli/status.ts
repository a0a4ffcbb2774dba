import { Command } from 'commander';
import { SmltError } from '../../contracts/errors';
import { checkRunId } from '../../contracts/names';
import { runningDev } from '../dev/dev-state';
import { homeOf } from '../home';
import { runUrl } from '../run-url';
import { readRun } from '../store-records';
import { exitCodeOf } from './exit-codes';
import { note } from './output';
import { openHomeStore } from './open-store';
import { report, watchRun } from './watch-run';

/** `smlt status RUN`: the newest state of a run; from the store alone when no Temporal server runs. */
export function statusCommand(): Command {
  return new Command('status')
    .description('show a run')
    .argument('<run>', 'run id')
    .option('--json', 'print one JSON document')
    .option('--follow', 'stay until the run ends')
    .action(async (runId: string, { json = false, follow }: { json?: boolean; follow?: true }) => {
      checkRunId(runId);
      const store = await openHomeStore();
      const stored = await readRun(store, runId);
      if (stored && stored.status !== 'running') {
        const dev = runningDev(homeOf());
        const here = dev?.storeUri === store.uri ? dev : undefined;
        const uiUrl = here?.temporal.uiUrl ? runUrl(here.temporal.uiUrl, here.temporal.namespace, runId) : undefined;
        report(stored, uiUrl, { json, embedded: here !== undefined });
        if (follow) process.exitCode = exitCodeOf(stored.status);
        return;
      }
      const { connect } = await import('../connect.js');
      const smlt = await connect({ start: false }).catch((error: unknown) => {
        if (stored && error instanceof SmltError && error.code === 'TemporalUnavailable') return undefined;
        throw stored
          ? error
          : new SmltError('RunMissing', `no run ${runId} in the store, and ${lowerFirst((error as Error).message)}`, { cause: error });
      });
      if (!smlt) {
        note('smlt dev is not running: this is what the store knows. The run goes on when it is started again.');
        return report(stored!, undefined, { json, embedded: false });
      }
      try {
        const handle = smlt.handle(runId);
        if (follow) process.exitCode = await watchRun(handle, { json, ephemeral: false, embedded: smlt.dev !== undefined });
        else report(await handle.status(), handle.uiUrl, { json, embedded: smlt.dev !== undefined });
      } finally {
        await smlt.close();
      }
    });
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);
