import { Context } from '@temporalio/activity';

const HEARTBEAT_MS = 2_000;
const told = new WeakMap<Context, () => unknown>();

/** What the running activity tells with each heartbeat from now on: its next attempt finds the last of it. */
export function tellWithHeartbeats(details: () => unknown): void {
  const activity = Context.current();
  told.set(activity, details);
  activity.heartbeat(details());
}

/** Says that the activity lives for as long as it runs, so that the death of its Temporal worker is noticed within the heartbeat time-out. */
export async function whileBeating<T>(work: () => Promise<T>): Promise<T> {
  const activity = Context.current();
  const beating = setInterval(() => activity.heartbeat(told.get(activity)?.()), HEARTBEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(beating);
  }
}
