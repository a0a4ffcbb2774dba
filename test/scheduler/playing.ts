import type { Allocation } from '../../contracts/round';
import type { Decision, DecisionRequest } from '../../contracts/scheduling';
import { compactObservations, decideNext } from '../../scheduler';
import { playRound, twoCores } from './machine';

/** What a decision runs next. */
export const allocationOf = (decision: Decision): Allocation => {
  if (decision.kind !== 'run' && decision.kind !== 'probe') throw new Error(`expected an allocation, got ${decision.kind}: ${decision.reason}`);
  return decision.allocation;
};

/** Plays a whole job on a known machine and returns every decision and the sums. */
export function play(start: DecisionRequest, truth = twoCores, seed = 1) {
  let input = start;
  const decisions: Decision[] = [];
  const wallsMs: number[] = [];
  for (let round = 0; round < 400; round += 1) {
    const decision = decideNext(input);
    decisions.push(decision);
    if (decision.kind === 'finish' && input.phase === 'profile' && input.remainingSteps > 0) {
      input = { ...input, phase: 'run' };
      continue;
    }
    if (decision.kind !== 'run' && decision.kind !== 'probe') break;
    const { allocation } = decision;
    const warm = input.current?.workers === allocation.workers && input.current.memoryMib === allocation.memoryMib;
    const seen = playRound(allocation, truth, { round, seed, cold: !warm });
    wallsMs.push(seen.wallMs);
    input = {
      ...input,
      current: allocation,
      observations: compactObservations([...input.observations, seen]),
      nowMs: input.nowMs + seen.wallMs,
      spentNanoUsd: input.spentNanoUsd + seen.billedNanoUsd,
      remainingSteps: input.remainingSteps - seen.steps,
      stepsDone: input.stepsDone + seen.steps,
      probesLeft: Math.max(0, input.probesLeft - (decision.kind === 'probe' ? 1 : 0)),
    };
  }
  return { decisions, wallsMs, end: input };
}

/** A machine whose compute follows the batch. */
export const withBatch = (batchSize: number): typeof twoCores => ({
  ...twoCores,
  noise: 0,
  computeMs: (a) => (twoCores.computeMs(a) * batchSize) / 256,
});
