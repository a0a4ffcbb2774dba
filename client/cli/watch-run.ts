import { createInterface } from 'node:readline/promises';
import type { Stage } from '../../contracts/money';
import type { RunRecord } from '../../contracts/pipeline';
import type { RunHandle } from '../run-handle';
import { EXIT, exitCodeOf } from './exit-codes';
import { note, painter, print, printJson } from './output';
import { describeRun, runDocument } from './run-report';
import { openView } from './run-view';

export interface WatchOptions {
  readonly json: boolean;
  /** The server ends with this command, so the run cannot go on without it. */
  readonly ephemeral: boolean;
  readonly planned?: readonly Stage[];
}

/** Shows a run until it ends, then its summary. Resolves with the exit code. */
export async function watchRun(handle: RunHandle, { json, ephemeral, planned = [] }: WatchOptions): Promise<number> {
  const view = openView(process.stderr, planned);
  let asked: Promise<'stop' | 'keep'> | undefined;
  let leave: () => void = () => undefined;
  const left = new Promise<'left'>((resolve) => (leave = () => resolve('left')));
  const onInterrupt = () => {
    if (asked) return leave();
    view.clear();
    asked = askWhatNow(handle.runId, ephemeral);
    void asked.then(async (answer) => {
      if (answer === 'keep') return leave();
      note('stopping at the newest complete step ... (Ctrl-C again leaves at once)');
      await handle.stop().catch((error: unknown) => note((error as Error).message));
    });
  };
  process.on('SIGINT', onInterrupt);
  try {
    const watched = (async () => {
      for await (const record of handle.follow({ everyMs: process.stderr.isTTY ? 250 : 500 })) if (!asked || (await asked)) view.show(record);
      return handle.result();
    })();
    watched.catch(() => undefined);
    const end = await Promise.race([watched, left]);
    view.clear();
    if (end === 'left') {
      if (!ephemeral) note(`left; run ${handle.runId} goes on. \`smlt status ${handle.runId}\` shows it, \`smlt stop ${handle.runId}\` ends it.`);
      return EXIT.left;
    }
    report(end, handle.uiUrl, json);
    return exitCodeOf(end.status);
  } finally {
    view.clear();
    process.off('SIGINT', onInterrupt);
  }
}

export function report(record: RunRecord, uiUrl: string | undefined, json: boolean): void {
  if (json) printJson(runDocument(record, uiUrl));
  else print(`\n${describeRun(record, uiUrl, painter(process.stdout), process.stdout.isTTY ? process.stdout.columns : Infinity)}`);
}

/** Without a terminal nobody can answer: the run goes on, unless its server ends with the command. */
async function askWhatNow(runId: string, ephemeral: boolean): Promise<'stop' | 'keep'> {
  if (ephemeral) return 'stop';
  if (!process.stdin.isTTY || !process.stderr.isTTY) return 'keep';
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  // readline takes Ctrl-C for itself while it asks.
  const interrupted = new Promise<string>((resolve) => asking.once('SIGINT', () => resolve('k')));
  try {
    const answer = await Promise.race([asking.question(`\nRun ${runId}: [k]eep it running and leave, or [s]top it? (k) `), interrupted]);
    return answer.trim().toLowerCase().startsWith('s') ? 'stop' : 'keep';
  } finally {
    asking.close();
  }
}
