import { Context } from '@temporalio/activity';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import type { VirtualClock } from '../../../platforms/simulated';

/** Callers in one burst share a reading: the server's time stands still while they run. */
const READING_MS = 2;

/**
 * The test server's clock. Every running activity holds a lock on it; a sleep gives back the locks of those that sleep,
 * and takes them again before they go on.
 */
export class TestServerClock implements VirtualClock {
  #newestMs = 0;
  #readAt = -Infinity;
  #reading: Promise<number> | undefined;

  constructor(private readonly environment: TestWorkflowEnvironment) {}

  /** The newest reading: for callers that cannot wait for one. */
  nowMs = (): number => this.#newestMs;

  now(): Promise<number> {
    if (this.#reading && performance.now() - this.#readAt <= READING_MS) return this.#reading;
    this.#readAt = performance.now();
    return (this.#reading = this.environment.currentTimeMs().then((nowMs) => (this.#newestMs = nowMs)));
  }

  async sleep(durationMs: number, callers: number, signal?: AbortSignal): Promise<void> {
    const testService = this.environment.connection.testService!;
    const others = Array.from({ length: callers - 1 });
    const lockAgain = (times: readonly unknown[]) => Promise.all(times.map(() => testService.lockTimeSkipping({})));
    await Promise.all(others.map(() => testService.unlockTimeSkipping({})));
    const slept = this.environment.sleep(Math.max(0, durationMs));
    const how = await (signal ? unlessAborted(slept, signal) : slept);
    // The server locks for a sleep that ends. One that was left is locked here, and unlocked when its time comes.
    if (how === 'woken') void slept.then(() => testService.unlockTimeSkipping({})).catch(() => undefined);
    await lockAgain(how === 'woken' ? [...others, null] : others);
    this.#reading = undefined;
  }

  caller(): string {
    const { workflowExecution, activityId } = Context.current().info;
    return `${workflowExecution?.workflowId} ${activityId}`;
  }
}

/** The work, or the abort that comes before its end. Leaves no listener: one signal is listened to by many sleeps in turn. */
async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void | 'woken'> {
  if (signal.aborted) return 'woken';
  let wake!: () => void;
  const woken = new Promise<'woken'>((resolve) => (wake = () => resolve('woken')));
  signal.addEventListener('abort', wake);
  try {
    return await Promise.race([work, woken]);
  } finally {
    signal.removeEventListener('abort', wake);
  }
}
