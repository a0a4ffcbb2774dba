import type { Compression } from '../contracts/compression';
import type { Observation, Forbidden } from '../contracts/scheduling';
import { totalNanoUsd } from '../contracts/money';
import type { Round } from '../contracts/round';
import type { Trouble } from '../contracts/worker-turns';
import type { RoundResult } from './round';

/** What a round cut short teaches: the next allocation keeps clear of it. */
export function forbiddenAfter(
  trouble: Trouble,
  { first, allocation: { workers, memoryMib, exchange } }: Round,
  committedStep: number,
  { tooSlow = [], tooDear = [] }: Forbidden,
): Forbidden {
  const shape = { workers, memoryMib, ...(exchange && { exchange }) };
  switch (trouble.kind) {
    case 'outOfMemory':
      return { memoryMibBelow: trouble.memoryMib + 1 };
    case 'noSlots':
      return { workersAbove: Math.max(1, Math.floor(workers / 2)) };
    case 'timedOut':
      // With a step done, its observation tells how slow the shape is.
      return committedStep > first ? {} : { tooSlow: [...tooSlow, shape] };
    case 'spent':
      return committedStep > first ? {} : { tooDear: [...tooDear, shape] };
    default:
      return {};
  }
}

/** What the slowest part of each step of a round took, and what the round cost; undefined when no step was done. */
export function observationOf(
  round: Round,
  { committed, bill, telemetry, trouble }: RoundResult,
  { wallMs, batchSize, compression }: { wallMs: number; batchSize: number; compression: Compression | null | undefined },
): Observation | undefined {
  const steps = committed.step - round.first;
  const complete = telemetry.filter((one) => one.steps > 0);
  if (steps <= 0 || complete.length === 0) return undefined;
  const slowest = complete.reduce((slow, one) => (one.wallMs / one.steps > slow.wallMs / slow.steps ? one : slow));
  const perStep = (totalMs: number) => totalMs / slowest.steps;
  return {
    allocation: round.allocation,
    round: round.round,
    batchSize,
    ...(compression === undefined ? {} : { compression }), // what an earlier version has opened does not say
    steps,
    wallMs,
    stepMs: Math.max(...complete.map((one) => one.medianStepMs)),
    ...(bill.invocations === round.allocation.workers && { longestStepMs: Math.max(...complete.map((one) => one.longestStepMs)) }),
    parts: {
      computeMs: perStep(slowest.computeMs),
      uploadMs: perStep(slowest.uploadMs),
      waitMs: perStep(slowest.waitMs),
      downloadMs: perStep(slowest.downloadMs),
      reduceMs: perStep(slowest.reduceMs),
      otherMs: perStep(slowest.otherMs),
    },
    initMs: Math.max(...complete.map((one) => one.initMs)),
    // A worker may have needed several invocations, each with its share of the steps: its pace tells what all of them took.
    orchestrationMs: Math.max(0, wallMs - perStep(slowest.wallMs - slowest.initMs) * steps - slowest.initMs),
    billedNanoUsd: totalNanoUsd(bill),
    peakRssMib: Math.max(...complete.map((one) => one.peakRssMib)),
    cold: complete.some((one) => one.cold),
    failures: { outOfMemory: trouble?.kind === 'outOfMemory' ? 1 : 0, timedOut: trouble?.kind === 'timedOut' ? 1 : 0 },
    merged: 1,
  };
}
