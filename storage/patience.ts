import { setTimeout as sleep } from 'node:timers/promises';

const pauseMs = { first: 20, longest: 1_000 };

export interface Patience {
  readonly patienceMs: number;
  /** Worth another attempt. */
  readonly isPassing: (error: unknown) => boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Does something again and again while its store is away, ever more seldom, until patience ends. @throws the last attempt's error, or the signal's reason */
export async function withPatience<T>(work: () => Promise<T>, { patienceMs, isPassing, signal }: Patience): Promise<T> {
  const untilMs = performance.now() + patienceMs;
  for (let pause = pauseMs.first; ; pause = Math.min(2 * pause, pauseMs.longest)) {
    signal?.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      signal?.throwIfAborted();
      if (!isPassing(error) || performance.now() + pause > untilMs) throw error;
    }
    // Many workers fail together: they must not come back together.
    await sleep(pause * (0.5 + Math.random() / 2), undefined, signal && { signal });
  }
}
