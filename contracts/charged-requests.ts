import { z } from 'zod';

/** Requests that an object store's provider charges for, at two prices: those that write or list, and those that read. */
export const StoreRequests = z.object({ puts: z.int().min(0), gets: z.int().min(0) });
export type StoreRequests = z.output<typeof StoreRequests>;

/** Whether a store's provider charges for them: files and Redis cost nothing by the request. */
export const chargesRequests = (storeUri: string): boolean => storeUri.startsWith('s3:');

export const noRequests: StoreRequests = { puts: 0, gets: 0 };

/** A function that runs tells its log whenever it may have asked for this many times what it last told. */
export const TOLD_GROWTH = 1.1;

/**
 * A function's line of log about what it has asked its stores for. The log's tail comes back with every outcome, also of a
 * function that was killed, and no answer must carry it. `all`: the last line of an invocation that came to its end.
 */
export const requestsLine = ({ puts, gets }: StoreRequests, all: boolean): string => `requests: puts=${puts} gets=${gets}${all ? ' all' : ''}`;

/** What the newest such line says; `all` is false where there may have been more, up to `TOLD_GROWTH` times as many. Undefined without a line. */
export function requestsTold(logTail: string): { readonly told: StoreRequests; readonly all: boolean } | undefined {
  const line = [...logTail.matchAll(/\brequests: puts=(\d+) gets=(\d+)( all)?/g)].at(-1);
  return line && { told: { puts: Number(line[1]), gets: Number(line[2]) }, all: line[3] !== undefined };
}

/** The most that there can have been when only `told` was said. */
export const mostAfter = ({ puts, gets }: StoreRequests): StoreRequests => ({
  puts: Math.ceil(puts * TOLD_GROWTH),
  gets: Math.ceil(gets * TOLD_GROWTH),
});
