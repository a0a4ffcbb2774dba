import { spentNanoUsd, stages, type Stage } from '../../contracts/money';
import type { Job } from '../../contracts/job';
import type { RunRecord } from '../../contracts/pipeline';
import { painter, type Paint } from './output';
import { allocationText, clock, count, dollars, lossText, trackText } from './words';

/** Shows a run while it runs: a few lines drawn again and again on a terminal, else a line at each change worth one. */
export interface RunView {
  show(record: RunRecord): void;
  /** Takes the drawing off the screen, so that other text can be written. */
  clear(): void;
}

/** @param planned  stages that are to come; those that have begun are known anyway */
export function openView(stream: NodeJS.WriteStream, planned: readonly Stage[]): RunView {
  return stream.isTTY && process.env['TERM'] !== 'dumb' ? new DrawnView(stream, planned) : new PlainView(stream);
}

/** The stages that a job goes through. */
export function plannedStages({ tune, data, deploy }: Job): Stage[] {
  return stages.filter((stage) => (stage !== 'tune' || tune) && (stage !== 'evaluate' || data.test) && (stage !== 'deploy' || deploy));
}

const REDRAW_MS = 250;

class DrawnView implements RunView {
  private record: RunRecord | undefined;
  private drawn = 0;
  private readonly paint: Paint;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly stream: NodeJS.WriteStream,
    private readonly planned: readonly Stage[],
  ) {
    this.paint = painter(stream);
  }

  show(record: RunRecord): void {
    this.record = record;
    this.timer ??= setInterval(() => this.draw(), REDRAW_MS).unref(); // the clock goes on between two states
    this.draw();
  }

  clear(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    if (this.drawn > 0) this.stream.write(`\x1b[${this.drawn}A\x1b[0J`);
    this.drawn = 0;
  }

  private draw(): void {
    if (!this.record) return;
    const width = (this.stream.columns || 80) - 1;
    const lines = viewLines(this.record, this.planned, Date.now(), this.paint, width);
    const up = this.drawn > 0 ? `\x1b[${this.drawn}A` : '';
    this.stream.write(`${up}${lines.map((line) => `\x1b[2K${line}`).join('\n')}\n\x1b[0J`);
    this.drawn = lines.length;
  }
}

/** The drawing: stage bar, progress, allocation with its reason, money, time. */
function viewLines(record: RunRecord, planned: readonly Stage[], nowMs: number, paint: Paint, width: number): string[] {
  const last = record.journal.at(-1);
  const cut = (text: string) => (text.length > width ? `${text.slice(0, width - 1)}…` : text);
  const lines = [
    stageBar(record, planned, paint),
    cut(`${bar(record.step, record.totalSteps, 28)} step ${count(record.step)} of ${count(record.totalSteps)}   loss ${lossText(record.loss)}`),
  ];
  if (record.allocation) lines.push(cut(`${allocationText(record.allocation)}, ${count(record.allocation.steps)} steps a round`));
  if (last) lines.push(paint('dim', cut(last.reason)));
  lines.push(cut(`spent ${spendText(record)}   time ${timeText(record, nowMs)}`));
  return lines;
}

function stageBar({ stages: states }: RunRecord, planned: readonly Stage[], paint: Paint): string {
  return stages
    .filter((name) => name in states || planned.includes(name))
    .map((name) => {
      const state = states[name];
      if (state === undefined) return paint('dim', `· ${name}`);
      if (state === 'running') return paint('cyan', `● ${name}`);
      return state === 'completed' ? paint('green', `✓ ${name}`) : paint('yellow', `! ${name} (${state})`);
    })
    .join('  ');
}

function bar(done: number, total: number, width: number): string {
  const filled = total > 0 ? Math.round((Math.min(done, total) / total) * width) : 0;
  return `${'█'.repeat(filled)}${'░'.repeat(width - filled)}`;
}

function spendText({ ledger, budgetNanoUsd }: RunRecord): string {
  const spent = dollars(spentNanoUsd(ledger));
  return budgetNanoUsd === null ? spent : `${spent} of ${dollars(budgetNanoUsd)}`;
}

function timeText({ startedAtMs, deadlineAtMs }: RunRecord, nowMs: number): string {
  const gone = clock(nowMs - startedAtMs);
  return deadlineAtMs === null ? gone : `${gone} of ${clock(deadlineAtMs - startedAtMs)}`;
}

const PLAIN_EVERY_MS = 2_000;

class PlainView implements RunView {
  private shownAtMs = 0;
  private decisions = 0;
  private notices = 0;
  private stagesText = '';

  constructor(private readonly stream: NodeJS.WriteStream) {}

  show(record: RunRecord): void {
    for (const text of record.notices.slice(this.notices)) this.write(record, text);
    this.notices = record.notices.length;
    const stagesText = stages.flatMap((stage) => (record.stages[stage] ? [`${stage} ${record.stages[stage]}`] : [])).join(', '); // prettier-ignore
    const decision = record.journal.at(-1);
    if (stagesText !== '' && stagesText !== this.stagesText) this.write(record, stagesText);
    if (decision && record.journal.length !== this.decisions && allocationChanged(record))
      this.write(record, `${trackText(record, decision.track)}: ${allocationText(decision.allocation)}: ${decision.reason}`);
    if (record.stage !== null && record.step > 0 && Date.now() - this.shownAtMs >= PLAIN_EVERY_MS)
      this.write(record, `${record.stage}: step ${count(record.step)} of ${count(record.totalSteps)}, loss ${lossText(record.loss)}, spent ${spendText(record)}`); // prettier-ignore
    this.stagesText = stagesText;
    this.decisions = record.journal.length;
  }

  clear(): void {
    // Lines stay where they are.
  }

  private write(record: RunRecord, text: string): void {
    this.shownAtMs = Date.now();
    this.stream.write(`[${clock(Date.now() - record.startedAtMs)}] ${text}\n`);
  }
}

function allocationChanged({ journal }: RunRecord): boolean {
  const [before, last] = journal.slice(-2);
  return !before || !last || before.allocation.workers !== last.allocation.workers || before.allocation.memoryMib !== last.allocation.memoryMib;
}
