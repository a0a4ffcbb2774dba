import { findNewest, isWhole, allDurable } from './resolve';
import { Detour, type Turn } from './turn';

export interface Wanted {
  readonly step: number;
  readonly names: readonly string[];
  /** All that this worker has published for the step so far. A missing one means loss. */
  readonly published: readonly string[];
  readonly take: (name: string, bytes: Uint8Array) => void;
}

/** Waits for names and reads each as it comes. A name that is gone again when it is read leads to resolve. */
export async function gather(turn: Turn, wanted: Wanted): Promise<void> {
  const { meter, exchange } = turn;
  const reads: Promise<void>[] = [];
  let lost = false;
  const read = (name: string) =>
    meter.fetching(async () => {
      const bytes = await exchange.get(name);
      if (bytes) wanted.take(name, bytes);
      else lost = true;
    });
  await meter.during('wait', async () => {
    try {
      await awaitNames(turn, wanted, (name) => {
        const reading = read(name);
        reading.catch(() => undefined); // reported below; here only so that a failure during the wait does not end the process
        reads.push(reading);
      });
    } finally {
      await Promise.allSettled(reads); // buffers that a read writes into must be quiet before anybody goes on
    }
    await Promise.all(reads);
  });
  if (lost) throw new Detour({ kind: 'resolve' });
}

async function awaitNames(turn: Turn, { step, names, published }: Wanted, onArrival: (name: string) => void): Promise<void> {
  const { times } = turn.plan;
  let missing = [...names];
  let quietSinceMs = performance.now();
  while (missing.length > 0) {
    const longMs = Math.max(times.waitMs, 2 * turn.meter.medianStepMs);
    const untilLongMs = quietSinceMs + longMs - performance.now();
    const still = await turn.exchange.waitFor(missing, { timeoutMs: Math.max(1, Math.min(untilLongMs, times.lookMs)) }, onArrival);
    if (still.length < missing.length) {
      turn.news();
      quietSinceMs = performance.now();
    }
    missing = still;
    if (missing.length === 0) return;
    await turn.lookForManifest();
    if (performance.now() - quietSinceMs >= longMs) {
      await lookAround(turn, step, published);
      quietSinceMs = performance.now();
    }
    // After looking around: whoever gives up has resolved first.
    if (turn.nearLimit('wait') || performance.now() - turn.newsAtMs >= times.giveUpMs) throw new Detour({ kind: 'waiting', step, missing });
  }
}

/**
 * A long wait (protocol.md, section 4): waits on only when all own names are there, the own step is still whole (the
 * round's first is not asked), nobody is further, and the round has not ended. Anything else leads to resolve.
 */
export async function lookAround(turn: Turn, step: number, published: readonly string[]): Promise<void> {
  await turn.lookForManifest('now');
  const { layout, exchange, plan } = turn;
  const waitsOn =
    (await exchange.present(published)).every(Boolean) &&
    (step === plan.first || (await isWhole(exchange, layout, step))) &&
    (await findNewest(exchange, layout, step)) === undefined &&
    !(await allDurable(turn));
  if (!waitsOn) throw new Detour({ kind: 'resolve' });
}
