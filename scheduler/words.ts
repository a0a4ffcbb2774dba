import type { AllocationShape } from '../contracts/allocation';
import type { ExchangeKind } from '../contracts/exchange';
import type { LossyMethod } from '../contracts/lossy-methods';

/** Numbers as people read them, the same on every machine. */

const grouped = (value: number, digits = 0): string => {
  const [whole, fraction] = value.toFixed(digits).split('.');
  const withCommas = whole!.replace(/\B(?=(\d{3})+(?!\d))/g, ',');
  return fraction === undefined ? withCommas : `${withCommas}.${fraction}`;
};

export function formatDuration(durationMs: number): string {
  if (!Number.isFinite(durationMs)) return 'for ever';
  if (durationMs < 10) return `${durationMs.toFixed(1)} ms`;
  if (durationMs < 1_000) return `${durationMs.toFixed(0)} ms`;
  const seconds = durationMs / 1_000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${grouped(Math.floor(seconds / 3_600))} h ${Math.round((seconds % 3_600) / 60)} min`;
}

/** Two significant digits below a dollar, cents above. */
export function formatUsd(nanoUsd: number): string {
  const usd = nanoUsd / 1e9;
  if (usd <= 0) return '$0';
  if (usd >= 1) return `$${grouped(usd, 2)}`;
  return `$${usd.toFixed(Math.min(9, Math.max(2, 1 - Math.floor(Math.log10(usd)))))}`;
}

export const formatMib = (memoryMib: number): string => `${grouped(memoryMib)} MiB`;
export const formatCount = (count: number, noun: string): string => `${grouped(count)} ${noun}${count === 1 ? '' : 's'}`;
export const formatShape = ({ workers, memoryMib, exchange, shards }: AllocationShape): string =>
  `${formatCount(workers, 'worker')} of ${formatMib(memoryMib)}${exchange ? ` over ${formatExchange(exchange, shards)}` : ''}`;
export const formatExchange = (kind: ExchangeKind, shards = 1): string => `${exchangeWords[kind]}${shards > 1 ? ` in ${shards} shards` : ''}`;
const exchangeWords: Record<ExchangeKind, string> = { files: 'files', redis: 'Redis', hybrid: 'Redis and S3', s3: 'S3' };
/** A probability, never shown as certainty. */
export const formatShare = (share: number): string => `${Math.min(99, Math.max(1, Math.round(share * 100)))} %`;

export function formatBytes(bytes: number): string {
  if (bytes < 1_000) return `${bytes} bytes`;
  const power = Math.min(3, Math.floor(Math.log10(bytes) / 3));
  return `${Number((bytes / 1_000 ** power).toPrecision(3))} ${['', 'KB', 'MB', 'GB'][power]}`;
}
/** "bf16", "qsgd of 8 bits", "top-k of density 0.01". */
export function formatMethod(method: LossyMethod): string {
  switch (method.kind) {
    case 'bf16':
    case 'fp16':
      return method.kind;
    case 'qsgd':
      return `qsgd of ${method.bits} bits`;
    case 'top-k':
      return `top-k of density ${method.density}`;
  }
}
