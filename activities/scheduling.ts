import { names } from '../contracts/names';
import { RoundPlan, type Round } from '../contracts/round';
import type { Decision } from '../contracts/scheduling';
import { compactObservations, decideNext as decide } from '../scheduler';
import { defined } from './defined';
import type { EngineDependencies } from './dependencies';
import { learntBefore } from './learnt';
import { microProbeOf } from './micro-probe';
import { decodeRecord, encodeRecord, findRecord } from './records';
import { planOf } from './round-plan';
import { readContext } from './rounds';
import { schedulerInput } from './scheduler-input';
import type { Accepted, NextAnswer, NextQuestion } from './scheduling-question';

const CARRIED_OBSERVATIONS = 24;
/** Half a cent: below it one lost invocation, charged at its upper bound, would already break the promise of a small run. */
const SMALLEST_PROMISE_NANO_USD = 5_000_000;

/** What a track does next: the scheduler's decision, written down as a round's plan. */
export function createSchedulingActivities(engine: EngineDependencies) {
  const { store } = engine;
  return {
    /** Asks the scheduler what to run next and writes it down as the round's plan, which the functions read. */
    async decideNext(question: NextQuestion): Promise<NextAnswer> {
      const context = await readContext(store, question);
      const { run, track, recipe, round, step } = question;
      const stored = await findRecord(store, RoundPlan, names.plan(question, round));
      if (stored?.recipe === recipe && stored.first === step) return { kind: 'round', probe: question.phase === 'profile', round: roundOf(stored) };
      // Later a run rests on what it has seen itself.
      const isFirst = question.phase === 'profile' || question.observations.length === 0;
      const before = isFirst ? await learntBefore(engine, context.program.programDigest) : {};
      const input = schedulerInput(engine, question, context);
      const measured = await microProbeOf(engine, run, context.program.programDigest);
      const decision = decide({ ...input, program: { ...input.program, ...measured }, ...before });
      if (decision.kind === 'finish') return { kind: 'stop', outcome: 'completed', reason: decision.reason };
      if (decision.kind !== 'run' && decision.kind !== 'probe') return { kind: 'stop', outcome: decision.kind, reason: decision.reason };
      const plan = await planOf(engine, question, context, decision);
      const name = names.plan({ run, track }, round);
      const decided = decodeRecord(RoundPlan, await store.decide(name, encodeRecord(plan)), name);
      const answer = { kind: 'round', probe: decision.kind === 'probe', round: roundOf(decided), promised: promiseOf(question, decision) } as const;
      return question.observations.length > CARRIED_OBSERVATIONS ? { ...answer, observations: compactObservations(question.observations) } : answer;
    },
  };
}

function promiseOf({ spentNanoUsd, nowMs }: NextQuestion, { prediction }: Decision & { kind: 'run' | 'probe' }): Accepted {
  return {
    totalNanoUsdP95: Math.ceil(spentNanoUsd + Math.max(prediction.remainingNanoUsd.p95, SMALLEST_PROMISE_NANO_USD)),
    finishAtMsP95: Math.ceil(nowMs + prediction.remainingMs.p95),
  };
}
const roundOf = ({ run, track, recipe, round, first, last, allocation, reason, python, exchangeUsdPerHour, spendLimitMs }: RoundPlan): Round => ({
  run,
  track,
  recipe,
  round,
  first,
  last,
  allocation,
  reason,
  ...(python && { python }),
  ...defined({ exchangeUsdPerHour, spendLimitMs }),
});
