import type { Allocation } from '../../contracts/allocation';
import { trialTrack, type RunRecord } from '../../contracts/pipeline';
import { usd } from '../../contracts/units';
import { formatExchange } from '../../scheduler';

/** $0.0312: enough digits to see small sums, never a rounded zero. */
export function dollars(nanoUsd: number): string {
  const amount = usd(nanoUsd);
  if (amount === 0) return '$0';
  return `$${amount >= 1 ? amount.toFixed(2) : amount >= 0.001 ? amount.toFixed(4) : amount.toFixed(7)}`;
}

/** 0:42, 12:05, 3:07:09. */
export function clock(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  const [h, m, s] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (n: number) => String(n).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** 2026-11-24 16:05, local time. */
export function moment(atMs: number): string {
  const at = new Date(atMs);
  const two = (n: number) => String(n).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

export const count = (n: number): string => n.toLocaleString('en-US');
export const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
export const plural = (n: number, word: string): string => `${count(n)} ${word}${n === 1 ? '' : 's'}`;
export const lossText = (loss: number | null): string => (loss === null ? '-' : loss >= 0.001 ? loss.toFixed(4) : loss.toExponential(2));
export const allocationText = ({ workers, memoryMib, exchange, shards }: Omit<Allocation, 'steps'> & { readonly steps?: number }): string =>
  `${plural(workers, 'worker')} x ${count(memoryMib)} MiB${exchange ? ` over ${formatExchange(exchange, shards)}` : ''}`;

/** Profiling begins the first trial's track, whether or not there are trials to come. */
export const trackText = ({ tune }: RunRecord, track: string): string => (tune === null && track === trialTrack(0) ? 'profile' : track);

/** Text columns, two spaces apart. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd()).join('\n'); // prettier-ignore
}

/** Lines of at most `width` characters, broken between words; a longer word stays whole, so that links can be clicked. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
