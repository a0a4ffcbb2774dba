/** What one finished invocation cost and how it ended: the server's own account, which tests hold the ledger against. */
export interface InvocationBill {
  readonly requestId: string;
  readonly function: string;
  readonly version: string;
  readonly kind: 'returned' | 'failed' | 'crashed' | 'outOfMemory' | 'timedOut';
  readonly billedMs: number;
  readonly durationMs: number;
  readonly initMs: number;
  readonly memoryMib: number;
  readonly maxMemoryMib: number;
  readonly cold: boolean;
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
}

/** Lambda's REPORT line: tabs between fields; MB there means MiB. */
export function reportLine(bill: InvocationBill): string {
  const fields = [
    `REPORT RequestId: ${bill.requestId}`,
    `Duration: ${bill.durationMs.toFixed(2)} ms`,
    `Billed Duration: ${bill.billedMs} ms`,
    `Memory Size: ${bill.memoryMib} MB`,
    `Max Memory Used: ${bill.maxMemoryMib} MB`,
  ];
  if (bill.initMs > 0) fields.push(`Init Duration: ${bill.initMs.toFixed(2)} ms`);
  if (bill.kind === 'timedOut') fields.push('Status: timeout');
  if (bill.kind === 'crashed' || bill.kind === 'outOfMemory') fields.push('Status: error', 'Error Type: Runtime.ExitError');
  return `${fields.join('\t')}\t\n`;
}
