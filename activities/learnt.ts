import type { PrepareAnswer } from '../contracts/functions';
import { exchangeKindOf } from '../contracts/exchange';
import { names } from '../contracts/names';
import { Learnt, type Observation } from '../contracts/scheduling';
import { compactObservations } from '../scheduler';
import { sha256Hex } from '../storage/digest';
import type { EngineDependencies } from './dependencies';
import { encodeRecord, findRecord } from './records';

const PLACE_DIGITS = 16;

/** What runs have seen of a program where it ran: first choices of its next run. */
export function createLearntActivities(engine: EngineDependencies) {
  return {
    /** Keeps what a run has seen of its program for the next run's first choices. */
    async keepLearnt({ run, programDigest, observations }: { run: string; programDigest: string; observations: readonly unknown[] }): Promise<void> {
      if (observations.length === 0) return;
      const learnt: Learnt = { formatVersion: 1, run, observations: compactObservations(observations) };
      await engine.store.replace(learntName(engine, programDigest), encodeRecord(learnt));
    },
  };
}

/** Times hold where they were seen: the same platform, as many cores, the same kinds of exchange. */
function learntName({ platform, exchanges }: EngineDependencies, programDigest: string): string {
  const { prices, limits } = platform;
  const exchange = exchanges.map(({ uri }) => exchangeKindOf(uri)).join('+');
  const place = { prices, totalCores: Number.isFinite(limits.totalCores) ? limits.totalCores : null, exchange };
  return names.learnt(programDigest, sha256Hex(encodeRecord(place)).slice(0, PLACE_DIGITS));
}
/** What another run has seen of this program, where this one runs. */
export async function learntBefore(engine: EngineDependencies, program: PrepareAnswer, run: string): Promise<Observation[]> {
  const learnt = await findRecord(engine.store, Learnt, learntName(engine, program.programDigest));
  return learnt && learnt.run !== run ? learnt.observations : [];
}
