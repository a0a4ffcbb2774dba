import { Command } from 'commander';
import { print, printJson } from './output';
import { report } from './watch-run';

/** `smlt stop RUN`: ends a run at its newest complete step. What it has is kept, and `smlt resume` goes on from it. */
export function stopCommand(): Command {
  return new Command('stop')
    .description('end a run at its newest complete step; resume goes on from there')
    .argument('<run>', 'run id')
    .option('--wait', 'wait until it has ended, and show it')
    .option('--json', 'print one JSON document')
    .action(async (runId: string, { wait, json = false }: { wait?: true; json?: boolean }) => {
      const { connect } = await import('../connect.js');
      const smlt = await connect({ start: false });
      try {
        const handle = smlt.handle(runId);
        await handle.stop();
        if (wait) report(await handle.result(), handle.uiUrl, { json, embedded: smlt.dev !== undefined });
        else if (json) printJson({ runId, status: 'stopping' });
        else print(`run ${runId} is stopping`);
      } finally {
        await smlt.close();
      }
    });
}
