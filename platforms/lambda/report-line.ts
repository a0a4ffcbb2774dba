/** What Lambda says of an invocation in the last line of its log tail. */
export interface Report {
  readonly billedMs: number;
  readonly memoryMib: number;
  readonly maxMemoryMib: number;
  readonly initMs: number;
}

/** Reads the REPORT line of this log tail; undefined when it is not there. What a function printed itself can't pass for it: the last line counts. */
export function parseReport(logTail: string): Report | undefined {
  const line = logTail.slice(logTail.lastIndexOf('\nREPORT RequestId: ') + 1);
  if (!line.startsWith('REPORT RequestId: ')) return undefined;
  const number = (label: string, unit: string): number | undefined => {
    const text = new RegExp(`\\t${label}: ([0-9.]+) ${unit}`).exec(line)?.[1];
    return text === undefined ? undefined : Number(text);
  };
  const billedMs = number('Billed Duration', 'ms');
  const memoryMib = number('Memory Size', 'MB');
  const maxMemoryMib = number('Max Memory Used', 'MB');
  if (billedMs === undefined || memoryMib === undefined || maxMemoryMib === undefined) return undefined;
  return { billedMs, memoryMib, maxMemoryMib, initMs: number('Init Duration', 'ms') ?? 0 };
}
