import type { SimulatedRoundRecord } from '../../scheduler/simulator';

/** Rounds in a row with the same workers, memory and batch. */
export interface Stretch {
  readonly startMs: number;
  readonly endMs: number;
  readonly workers: number;
  readonly memoryMib: number;
  readonly batchSize: number;
  readonly rounds: number;
  readonly steps: number;
  readonly stepMs: number;
  readonly nanoUsd: number;
  readonly crashes: number;
  readonly restarts: number;
  readonly isProbe: boolean;
  /** Of its first round: why it was chosen. */
  readonly reason: string;
}

export function stretchesOf(rounds: readonly SimulatedRoundRecord[]): Stretch[] {
  const stretches: Stretch[] = [];
  let spentBefore = 0;
  for (const { kind, startMs, endMs, workers, memoryMib, batchSize, steps, stepMs, spentNanoUsd, crashes, restarts, reason } of rounds) {
    const nanoUsd = spentNanoUsd - spentBefore;
    spentBefore = spentNanoUsd;
    const last = stretches.at(-1);
    const isProbe = kind === 'probe';
    const goesOn = last?.workers === workers && last.memoryMib === memoryMib && last.batchSize === batchSize && last.isProbe === isProbe;
    if (!last || !goesOn) {
      stretches.push({ startMs, endMs, workers, memoryMib, batchSize, rounds: 1, steps, stepMs, nanoUsd, crashes, restarts, isProbe, reason });
      continue;
    }
    const all = last.steps + steps;
    stretches[stretches.length - 1] = {
      ...last,
      ...{ endMs, rounds: last.rounds + 1, steps: all, nanoUsd: last.nanoUsd + nanoUsd },
      ...{ crashes: last.crashes + crashes, restarts: last.restarts + restarts },
      stepMs: all === 0 ? 0 : (last.stepMs * last.steps + stepMs * steps) / all,
    };
  }
  return stretches;
}
