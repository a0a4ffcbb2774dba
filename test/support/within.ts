import { setTimeout as sleep } from 'node:timers/promises';

const TICK_MS = 20;

/**
 * What `work` comes to, if it does within `ms` in which this process came to run: a pause of a busy machine counts as one
 * tick, however long it was.
 */
export async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let ended = false;
  const end = () => (ended = true);
  work.then(end, end);
  for (let passedMs = 0; passedMs < ms && !ended; passedMs += TICK_MS) await sleep(TICK_MS);
  if (!ended) throw new Error(`expected it within ${ms} ms`);
  return work;
}
