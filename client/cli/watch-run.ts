import { createInterface } from 'node:readline/promises';
import { SmltError } from '../../contracts/errors';
import type { Job } from '../../contracts/job';
import type { RunRecord } from '../../contracts/pipeline';
import type { RunHandle } from '../run-handle';
import { EXIT, exitCodeOf, exitCodeOfError } from './exit-codes';
import { note, painter, print, printJson } from './output';
import { describeRun, runDocument } from './run-report';
import { openView, plannedStages } from './run-view';

export interface WatchOptions {
  readonly json: boolean;
  /** The server ends with this command, so the run cannot go on without it. */
  readonly ephemeral: boolean;
  /** What is known of the run besides its record. */
  readonly job?: Job;
  /** Functions run on this machine, where nothing is charged. */
  readonly embedded: boolean;
}

/** Shows a run until it ends, then its summary. Resolves with the exit code. */
export async function watchRun(handle: RunHandle, options: WatchOptions): Promise<number> {
  const { ephemeral, job } = options;
  const view = openView(process.stderr, job ? plannedStages(job) : []);
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
    report(end, handle.uiUrl, options);
    return exitCodeOf(end.status);
  } catch (error) {
    view.clear();
    if (!(error instanceof SmltError)) throw error;
    // What has begun has not been refused: whatever it failed of, it failed.
    return (await reportFailure(handle, error, options)) ? EXIT.failed : exitCodeOfError(error);
  } finally {
    view.clear();
    process.off('SIGINT', onInterrupt);
  }
}

type ReportOptions = Pick<WatchOptions, 'json' | 'job' | 'embedded'>;

export function report(record: RunRecord, uiUrl: string | undefined, { json, job, embedded }: ReportOptions): void {
  if (json) return printJson(runDocument(record, uiUrl));
  const width = process.stdout.isTTY ? process.stdout.columns : Infinity;
  print(`\n${describeRun(record, { uiUrl, job, embedded, paint: painter(process.stdout), width })}`);
}

/** A run that failed still has spent, learnt and kept something: its record is shown with the error. Tells whether there is one. */
async function reportFailure(handle: RunHandle, { code, message, help }: SmltError, options: ReportOptions): Promise<boolean> {
  const last = await handle.status().catch(() => undefined);
  const record: RunRecord | undefined = last && { ...last, status: 'failed' };
  if (options.json) {
    printJson({ ...(record ? runDocument(record, handle.uiUrl) : { runId: handle.runId, status: 'failed' }), error: { code, message, help } });
    return record !== undefined;
  }
  if (record) report({ ...record, reason: message }, handle.uiUrl, options);
  note(`\n${painter(process.stderr)('red', code)}: ${message}\n${help}`);
  return record !== undefined;
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
