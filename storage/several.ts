import type { Exchange, WaitOptions } from './exchange';

/** All results, once all are through: until then one may still read from, or write to, its caller's memory. */
export async function allThrough<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(work);
  return settled.map((one) => {
    if (one.status === 'rejected') throw one.reason;
    return one.value;
  });
}

/** Waits in several exchanges for the names of each; one that fails ends the others' waits. Returns what is still missing. */
export async function waitInEach(
  asked: readonly (readonly [Exchange, readonly string[]])[],
  { timeoutMs, signal }: WaitOptions,
  onArrival?: (name: string) => void,
): Promise<string[]> {
  const failed = new AbortController();
  const options = { timeoutMs, signal: signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]) };
  const waits = asked
    .filter(([, names]) => names.length > 0)
    .map(([exchange, names]) =>
      exchange.waitFor(names, options, onArrival).catch((error: unknown) => {
        failed.abort(error);
        throw error;
      }),
    );
  return (await allThrough(waits)).flat();
}
